"""The lane's pump against reopened links, refused outcomes and poison; broker and engine are played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pywhatsweb.contracts.ids import ChatKey, CommandId, SessionId, TenantId, TenantKey, WhatsAppMessageId
from pywhatsweb.contracts.queued import Queued, to_headers
from pywhatsweb_fleet.session_worker.lane import Interrupted, Lane
from pywhatsweb_runtime.bus import BrokerUnavailable, Stored
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import PubAck
from tests.support import wait_until


class Broker:
    """An outbox of one session, a purge that can fail, and what was told."""

    replicated = False

    def __init__(self) -> None:
        self.queue: list[Stored] = []
        self.told: list[tuple[str, str]] = []
        self.purge_fails = 0
        self.away = False
        self.last = 0
        self.slow = asyncio.Event()
        self.slow.set()
        metrics = Metrics()
        self.deps: Any = SimpleNamespace(
            reader=self, bus=self, publisher=self, metrics=metrics, settings=SimpleNamespace()
        )
        self.events: Any = SimpleNamespace(
            tenant=TenantId("acme"),
            session=SessionId("s1"),
            epoch=1,
            key=TenantKey(b"k" * 32),
            stable_id=lambda *parts: "-".join(parts),
            submit=self._submit,
        )

    def put(self, *names: str, **headers: str) -> None:
        for name in names:
            queued = Queued(
                verb="send",
                command_id=CommandId(name),
                digest=name,
                message_id=WhatsAppMessageId("3EB0" + name),
                recipient="pn:+5511999990001",
                chat=ChatKey("c"),
                accepted_at=1,
            )
            self.last += 1
            self.queue.append(Stored("wa.out.acme.s1", self.last, b"{}", {**to_headers(queued), **headers}))

    async def batch(self, _stream: str, _subject: str, sequence: int, limit: int) -> list[Stored]:
        await asyncio.sleep(0)
        if self.away:
            raise BrokerUnavailable
        return [stored for stored in self.queue if stored.sequence >= sequence][:limit]

    async def purge(self, _stream: str, _subject: str, below: int) -> int:
        await self.slow.wait()
        if self.purge_fails:
            self.purge_fails -= 1
            raise BrokerUnavailable("no answer")
        self.queue = [stored for stored in self.queue if stored.sequence >= below]
        return 0

    async def _submit(self, kind: str, data: Any, **_: Any) -> asyncio.Future[PubAck]:
        status = "set aside" if kind == "deadletter" else str(data.status)
        self.told.append((str(data.command_id), status))
        return done()

    async def submit(self, subject: str, _data: bytes, headers: dict[str, str]) -> asyncio.Future[PubAck]:
        self.told.append((subject, headers["Pww-Code"]))
        return done()


def done() -> asyncio.Future[PubAck]:
    future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
    future.set_result(PubAck("S", 1))
    return future


async def test_a_late_interruption_does_not_stop_the_reopened_lane() -> None:
    """The old link's pump is still acknowledging when the next link opens: the lane goes on with the queue."""
    broker = Broker()
    broker.put("a", "b", "c")
    performed: list[str] = []
    links = iter([False, True, True, True])

    async def perform(queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        performed.append(queued.command_id)
        if queued.command_id == "b" and not next(links):
            broker.slow.clear()  # the acknowledgement of "a" takes its time
            raise Interrupted
        return [done()]

    lane = Lane(broker.deps, broker.events, perform)
    lane.open()
    await wait_until(lambda: performed == ["a", "b"])
    lane.close()
    lane.open()
    broker.slow.set()
    await wait_until(lambda: not broker.queue)
    assert performed[-2:] == ["b", "c"]
    broker.put("d")
    lane.wake()
    await wait_until(lambda: performed[-1] == "d")
    await lane.stop()


async def test_an_interruption_without_a_close_is_tried_again() -> None:
    """A link that says it is gone but never closes does not leave the queue standing."""
    broker = Broker()
    broker.put("a")
    tries: list[str] = []

    async def perform(queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        tries.append(queued.command_id)
        if len(tries) == 1:
            raise Interrupted
        return [done()]

    lane = Lane(broker.deps, broker.events, perform)
    lane.open()
    await wait_until(lambda: not broker.queue, 5)
    await lane.stop()


async def test_poison_is_set_aside_and_the_next_one_goes_on() -> None:
    """A command that breaks the code ends as failed, with a dead letter; those behind it are done."""
    broker = Broker()
    broker.put("poison", "sound")
    performed: list[str] = []

    async def perform(queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        if queued.command_id == "poison":
            raise KeyError("type")
        performed.append(queued.command_id)
        return [done()]

    lane = Lane(broker.deps, broker.events, perform)
    lane.open()
    await wait_until(lambda: not broker.queue)
    assert performed == ["sound"]
    assert broker.told == [
        ("wa.dlq.acme.s1.command.c.deadletter-poison", "E_POISON"),
        ("poison", "set aside"),
        ("poison", "failed"),
    ]
    await lane.stop()


async def test_what_is_under_way_ends_within_the_grace() -> None:
    """A handover lets the command that is being sent end, and takes no further one."""
    broker = Broker()
    broker.put("a", "b")
    performed: list[str] = []

    async def perform(queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        performed.append(queued.command_id)
        await asyncio.sleep(0.1)
        return [done()]

    lane = Lane(broker.deps, broker.events, perform)
    lane.open()
    await wait_until(lambda: performed)
    await lane.stop(1.0)
    assert performed == ["a"]
    assert [stored.headers["Pww-Command-Id"] for stored in broker.queue] == ["b"]


async def test_nothing_leaves_the_queue_before_its_keys_are_stored() -> None:
    """A sent command is acknowledged only behind the keys it changed; if the link dies before, it stays queued."""
    broker = Broker()
    broker.put("a")
    stored = asyncio.Event()
    lost = [True]

    async def perform(_queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        return [done()]

    async def durable() -> None:
        if lost.pop() if lost else False:
            raise ConnectionError
        await stored.wait()

    lane = Lane(broker.deps, broker.events, perform, durable=durable)
    lane.open()
    await wait_until(lambda: not lost)
    assert broker.queue
    lane.close()
    lane.open()
    await asyncio.sleep(0.05)
    assert broker.queue
    stored.set()
    await wait_until(lambda: not broker.queue)
    await lane.stop()


async def test_the_head_is_looked_at_for_a_receipt_that_comes_before_the_link_is_open() -> None:
    """Baileys seed 7: to a new owner `delivered` came so early that it was told before `sent`."""
    broker = Broker()
    broker.put("a", "b")
    seen: list[str] = []

    async def head(stored: Sequence[Stored]) -> None:
        seen.extend(one.headers["Pww-Command-Id"] for one in stored)

    async def perform(_queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        return [done()]

    lane = Lane(broker.deps, broker.events, perform, head=head)
    await lane.looked()
    assert seen == ["a", "b"]
    await lane.looked()
    assert seen == ["a", "b"]
    lane.open()
    await wait_until(lambda: not broker.queue, message="the queue is done")


async def test_a_receipt_waits_for_a_look_that_succeeds() -> None:
    """PostgreSQL seed 328: the broker was away when a lane opened, so nobody knew that `sent` was still to be told."""
    broker = Broker()
    broker.put("a")
    broker.away = True
    seen: list[str] = []

    async def head(stored: Sequence[Stored]) -> None:
        seen.extend(one.headers["Pww-Command-Id"] for one in stored)

    async def perform(_queued: Queued, _stored: Stored) -> list[asyncio.Future[PubAck]]:
        raise Interrupted

    lane = Lane(broker.deps, broker.events, perform, head=head)
    lane.open()
    with pytest.raises(BrokerUnavailable):
        await lane.looked()
    broker.away = False
    await lane.looked()
    assert seen == ["a"]
    await lane.stop()
