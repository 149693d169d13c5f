"""Durable units: their order, and what happens to those behind one that cannot be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pywhatsweb_fleet.session_worker.engines.port import EventUnit, KeysUnit
from pywhatsweb_fleet.session_worker.units import TOO_LARGE, Units
from pywhatsweb_fleet.storage.faults import Fenced
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable
from pywhatsweb_runtime.publisher import PubAck
from tests.support import wait_until


class Host:
    """The stream, the database and the engine of one link."""

    def __init__(self, refusals: dict[int, list[Exception]]) -> None:
        self.refusals = refusals
        self.stored: list[str] = []
        self.committed: list[int] = []
        self.failed: list[Exception] = []
        self.units = Units(self._event, self._keys, self.committed.append, self.failed.append)

    async def _event(self, unit: EventUnit) -> Sequence[asyncio.Future[PubAck]]:
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        left = self.refusals.get(unit.unit)
        if left and unit.kind != TOO_LARGE:
            future.set_exception(left.pop(0))
        else:
            self.stored.append(f"{unit.kind} {unit.unit}")
            future.set_result(PubAck("S", 1))
        return [future]

    async def _keys(self, units: Sequence[KeysUnit]) -> None:
        self.stored.append("keys " + " ".join(str(unit.unit) for unit in units))


def event(number: int) -> EventUnit:
    return EventUnit(number, "message", {"id": f"m{number}"})


async def test_keys_behind_an_event_that_failed_are_never_stored() -> None:
    """With its keys stored and its event not, a message could not be read again when WhatsApp repeats it."""
    host = Host({1: [ApiError(WRONG_LAST_SEQUENCE, "stale")]})
    host.units.put(event(1))
    await wait_until(lambda: host.failed)
    host.units.put(KeysUnit(2, None, []))
    host.units.put(event(3))
    await asyncio.sleep(0.05)
    assert isinstance(host.failed[0], Fenced)
    assert host.stored == []
    assert host.committed == []


async def test_an_event_without_an_answer_is_told_again_before_its_keys() -> None:
    """A broker that is away for a while delays what is behind, and nothing else."""
    host = Host({1: [BrokerUnavailable("no answer")]})
    host.units.put(event(1))
    host.units.put(KeysUnit(2, None, []))
    await wait_until(lambda: host.committed, 5)
    assert host.stored == ["message 1", "keys 2"]


async def test_an_event_that_no_stream_takes_becomes_an_alert() -> None:
    """Above the broker's limit it would be refused for ever, and WhatsApp would send it for ever."""
    host = Host({1: [ApiError(10054, "message size exceeds maximum allowed")]})
    host.units.put(event(1))
    host.units.put(event(2))
    await wait_until(lambda: host.committed == [2], 5)
    assert host.stored == ["message 2", f"{TOO_LARGE} 1"]
