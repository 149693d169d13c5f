"""Statuses and channels as places that commands are for."""

from __future__ import annotations

from typing import Any

import pytest

from pywhatsweb.contracts import capabilities, codec, commands
from pywhatsweb.contracts.places import MAX_AUDIENCE, STATUS, Place, place_of
from pywhatsweb.errors import ContractError

CHANNEL = "120363041234567890@newsletter"
TEXT: dict[str, Any] = {"type": "text", "text": {"body": "Feriado"}}
IMAGE = {"type": "image", "image": {"id": "med_1", "view_once": True}}


def parsed(verb: str = "send", **body: Any) -> commands.AnyCommand:
    return commands.parse(verb, codec.encode(body, "json"))


@pytest.mark.parametrize("to", ["status", " status ", STATUS])
def test_the_status_has_two_names(to: str) -> None:
    """WhatsApp's own, and a word."""
    assert place_of(to) == Place("status", STATUS)


@pytest.mark.parametrize(
    "to",
    [
        None,
        "",
        "Status",
        "x@newsletter",
        "1203630412@newsletter@x",
        "+5511999990001",
        "120363041234567890@g.us",
    ],
)
def test_a_chat_is_no_place(to: str | None) -> None:
    """Nor is what only looks like a channel."""
    assert place_of(to) is None


def test_a_channel_is_named_by_its_id() -> None:
    """As WhatsApp writes it."""
    assert place_of(CHANNEL) == Place("channel", CHANNEL)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"to": "+5511999990001", "audience": ["+5511999990002"]}, "$.audience"),
        ({"to": CHANNEL, "audience": ["+5511999990002"]}, "$.audience"),
        ({"to": "status", "context": {"message_id": "3EB0A1B2C3D4E5F60718293A"}}, "$.context"),
        ({"to": CHANNEL, "disappear_after": 86_400}, "$.disappear_after"),
        ({"to": "status", **IMAGE}, "$.view_once"),
        ({"to": CHANNEL, "text": {"body": "x", "background": "#075E54"}}, "$.text.background"),
        ({"to": "+5511999990001", "text": {"body": "x", "background": "#075E54"}}, "$.text.background"),
    ],
)
def test_what_does_not_go_with_a_place_is_refused(body: dict[str, Any], path: str) -> None:
    """It would be dropped in silence."""
    with pytest.raises(ContractError) as refused:
        parsed(**(TEXT | body))
    assert (refused.value.code, refused.value.details["path"]) == ("INVALID_FIELD", path)


@pytest.mark.parametrize("audience", [[], ["+5511999990001"] * (MAX_AUDIENCE + 1)])
def test_an_audience_has_its_limits(audience: list[str]) -> None:
    """Nobody, or too many, are no audience."""
    with pytest.raises(ContractError):
        parsed(to="status", audience=audience, **TEXT)


@pytest.mark.parametrize(
    ("verb", "body", "needs"),
    [
        ("send", {"to": "status", **TEXT}, ("status_post.text",)),
        (
            "send",
            {"to": "status", "audience": ["+5511999990001"], **TEXT},
            ("status_post.text", "status_audience"),
        ),
        ("send", {"to": CHANNEL, **TEXT}, ("channel_post.text",)),
        ("delete", {"to": "status", "message_id": "3EB0A1"}, ("status_post.delete",)),
        (
            "delete",
            {"to": "status", "message_id": "3EB0A1", "for_everyone": False},
            ("status_post.delete_for_me",),
        ),
        ("edit", {"to": CHANNEL, "message_id": "3EB0A1", **TEXT}, ("channel_post.edit",)),
        (
            "edit",
            {"to": CHANNEL, "message_id": "3EB0A1", "type": "image", "image": {"caption": "x"}},
            ("channel_post.edit_caption",),
        ),
        ("react", {"to": CHANNEL, "message_id": "3EB0A1", "emoji": "👍"}, ("channel_post.react",)),
    ],
)
def test_an_engine_needs_a_name_of_its_own_for_a_place(
    verb: str, body: dict[str, Any], needs: tuple[str, ...]
) -> None:
    """One that cannot post refuses it though it can send the same to a chat."""
    command = parsed(verb, **body)
    assert capabilities.needs(verb, command) == needs
    assert capabilities.POSTS <= capabilities.ALL
