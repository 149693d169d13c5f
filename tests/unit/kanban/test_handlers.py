"""Which events move the board, and whose reply it was."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from pywhatsweb.contracts import codec, events
from pywhatsweb_fleet.kanban.board import MessageIn, MessageOut
from pywhatsweb_fleet.kanban.handlers import stimulus_of
from tests.integration.persistence.traffic import contact, message, status

CHAT = contact(1)[0]


def read(event: Any) -> Any:
    said = stimulus_of(f"wa.evt.acme.s1.{events.event_type(event)}.{CHAT.key}", codec.encode(event))
    return said and said.stimulus


def test_messages() -> None:
    """The customer's, ours by a command, ours on the phone, and an old one of a new pairing's history."""
    assert isinstance(read(message(1)), MessageIn)
    ours = message(1, outbound=True)
    assert read(ours) == MessageOut(ours.id, read(ours).at, CHAT)
    typed = replace(ours, data=replace(ours.data, command_id=None))
    assert read(typed).human
    old = message(1)
    assert read(replace(old, data=replace(old.data, history=True))) is None


@pytest.mark.parametrize(
    ("step", "more", "by"),
    [
        ("queued", {"metadata": {"attendant_id": "ana"}}, "ana"),
        ("queued", {}, None),
        ("queued", {"metadata": {"attendant_id": 7}}, None),
        ("queued", {"metadata": {"attendant_id": "ana"}, "duplicate": True}, None),
        ("rejected", {"metadata": {"attendant_id": "ana"}}, None),
    ],
)
def test_whose_reply(step: str, more: dict[str, Any], by: str | None) -> None:
    """The command's metadata says it, once it is on its way."""
    found = read(status(1, step, chat=CHAT, **more))
    assert (found and found.by) == by
