"""A command with a file, while the master key that opens or seals it is on its way to this worker."""

from __future__ import annotations

from typing import Any

import pytest

from pywhatsweb.contracts.ids import ChatKey, CommandId, WhatsAppMessageId
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.session_worker.attaching import Attaching
from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.lane import Interrupted
from pywhatsweb_fleet.storage.faults import KeyMissing, Unsealable

QUEUED = Queued("send", CommandId("c1"), "d", WhatsAppMessageId("M1"), "pn:+5511", ChatKey("c"), 0)
BODY = {"type": "image", "image": {"id": "med_1"}}


class Library:
    """Of files, none of which opens."""

    def __init__(self, fault: Unsealable) -> None:
        self._fault = fault

    async def find(self, _tenant: str, _media_id: str) -> None:
        raise self._fault


class Shelf:
    def __init__(self, fault: Unsealable) -> None:
        self.library = Library(fault)


class Events:
    tenant, session = "acme", "s1"

    def stable_id(self, *parts: str) -> str:
        return "-".join(parts)


@pytest.mark.parametrize(
    ("fault", "becomes"),
    [
        (KeyMissing("the master key is not on the ring"), Interrupted),
        (Unsealable("a broken seal"), EngineError),
    ],
)
async def test_what_lacks_its_key_waits_and_what_is_broken_fails(
    fault: Unsealable, becomes: type[Exception]
) -> None:
    """The first stays in its queue until the key is there; the second would wait for ever, so it is told."""
    events: Any = Events()
    shelf: Any = Shelf(fault)
    with pytest.raises(becomes):
        await Attaching(events, shelf, None).prepare(QUEUED, BODY)
