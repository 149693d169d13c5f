"""Live events with gaps and bounds, and durable ones with a place."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from pywhatsweb.client import Gap
from pywhatsweb.contracts.events import MessageEvent, QrEvent, StatusEvent
from pywhatsweb.errors import BrokerError, ErrorCode, EventGapError, NotSupportedError, SlowConsumerError
from pywhatsweb_runtime.bus import BrokerUnavailable
from tests.integration.client.conftest import Broker, Scripted

QR = {"code": "c", "expires_at": "2026-11-22T12:00:00.000Z"}


def message(number: int, *, key: str = "k1") -> dict[str, object]:
    return {
        "id": f"m{number}",
        "chat": {"key": key},
        "from": {"pn": "+5511999990001"},
        "origin": "inbound",
        "type": "text",
        "text": {"body": f"text {number}"},
        "sent_at": "2026-11-22T12:00:00.000Z",
    }


async def test_live_events_are_typed_filtered_and_in_order(fleet: Scripted) -> None:
    """Only the wanted types and sessions come, as their Structs, with their stream sequence."""
    async with (
        fleet.client() as client,
        client.events(types=["message", "qr"], sessions=["s1", "s2"]) as live,
    ):
        await fleet.tell("qr", QR)
        await fleet.tell_status("c1", "sent")
        await fleet.tell("message", message(1), session="s3", chat="k1")
        last = await fleet.tell("message", message(2), session="s2", chat="k1")
        first, second = await anext(live), await anext(live)
        assert isinstance(first, QrEvent)
        assert isinstance(second, MessageEvent)
        assert second.data.content.body == "text 2"
        assert live.sequence == last
        assert not live.gaps


async def test_a_slow_reader_gets_what_is_held_and_then_an_error(fleet: Scripted) -> None:
    """Memory is bounded, and nothing is lost silently."""
    async with fleet.client() as client, client.events(types=["status"], buffer=10) as live:
        for n in range(30):
            await fleet.tell_status(f"c{n}", "sent")
        await client.ping()
        await asyncio.sleep(0.1)
        seen = []

        async def read() -> None:
            async for event in live:
                assert isinstance(event, StatusEvent)
                seen.append(event.data.command_id)

        with pytest.raises(SlowConsumerError) as slow:
            await read()
        assert seen == [f"c{n}" for n in range(10)]
        assert slow.value.details == {"limit": 10}
        with pytest.raises(StopAsyncIteration):
            await anext(live)


async def test_a_lost_connection_is_told_as_a_gap(broker: Broker, fleet: Scripted) -> None:
    """After a reconnect the stream says after which sequence events may be missing, and goes on."""
    gaps: list[Gap] = []
    async with (
        fleet.client() as client,
        client.events(on_gap=gaps.append) as live,
        client.events(raise_gaps=True) as strict,
    ):
        before = await fleet.tell_status("c1", "sent")
        await anext(live)
        await anext(strict)
        os.kill(broker.pid, signal.SIGKILL)
        await asyncio.sleep(0.2)
        await broker.restart()
        with pytest.raises(EventGapError) as gap:
            await asyncio.wait_for(anext(strict), 20)
        assert gap.value.details == {"after": before, "before": None}
        assert gaps == [Gap(before, None)]
        while True:  # the platform's own connection comes back in its time
            try:
                await fleet.tell_status("c2", "sent")
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.1)
        assert isinstance(await asyncio.wait_for(anext(live), 10), StatusEvent)
        assert live.sequence > before


async def test_durable_events_go_on_where_they_were(fleet: Scripted) -> None:
    """A reader that stops in the middle, and one that dies before its acknowledgement, lose nothing."""
    await fleet.answer("consumer.create", fleet.make_consumer)
    for n in range(100):
        await fleet.tell_status(f"c{n}", "sent")
    seen: list[str] = []
    async with fleet.client() as client:
        async with client.durable("crm", start="all", batch=8) as durable:
            async for event in durable:
                assert isinstance(event, StatusEvent)
                seen.append(event.data.command_id or "")
                if len(seen) == 30:
                    break

        async def die() -> None:
            async with client.durable("crm", batch=8) as durable:
                event = await anext(durable)
                assert isinstance(event, StatusEvent)
                raise RuntimeError(event.data.command_id)

        with pytest.raises(RuntimeError, match="c30"):
            await die()
    again: list[str] = []
    async with fleet.client() as client, client.durable("crm", batch=8) as durable:
        while len(again) < 70:
            event = await asyncio.wait_for(anext(durable), 10)
            assert isinstance(event, StatusEvent)
            again.append(event.data.command_id or "")
    assert seen == [f"c{n}" for n in range(30)]
    assert again == [f"c{n}" for n in range(30, 100)]


async def test_a_durable_reader_takes_no_more_than_it_can(fleet: Scripted) -> None:
    """What is not asked for stays with JetStream."""
    await fleet.answer("consumer.create", fleet.make_consumer)
    for n in range(200):
        await fleet.tell_status(f"c{n}", "sent")
    async with fleet.client() as client, client.durable("slow", start="all", batch=5) as durable:
        for _ in range(7):
            await anext(durable)
        await asyncio.sleep(0.2)
        info = await fleet.bus.client.jetstream().consumer_info("WA_EVT_acme", "user-slow")
        assert info.num_ack_pending is not None
        assert info.num_ack_pending <= 10


async def test_a_durable_reader_from_a_sequence(fleet: Scripted) -> None:
    """It begins at the sequence that a live stream had come to."""
    await fleet.answer("consumer.create", fleet.make_consumer)
    await fleet.tell_status("c1", "sent")
    second = await fleet.tell_status("c2", "sent")
    async with fleet.client() as client, client.durable("from", start=second) as durable:
        event = await anext(durable)
        assert isinstance(event, StatusEvent)
        assert (event.data.command_id, durable.sequence) == ("c2", second)


async def test_a_deleted_consumer_ends_its_reader(fleet: Scripted) -> None:
    """By name, not by silence."""
    await fleet.answer("consumer.create", fleet.make_consumer)
    async with fleet.client() as client, client.durable("gone") as durable:
        waiting = asyncio.create_task(anext(durable))
        await asyncio.sleep(0.3)
        await fleet.bus.client.jetstream().delete_consumer("WA_EVT_acme", "user-gone")
        with pytest.raises(BrokerError) as ended:
            await asyncio.wait_for(waiting, 5)
        assert ended.value.code is ErrorCode.E_CONSUMER_NOT_FOUND


async def test_a_fleet_without_the_verb(fleet: Scripted) -> None:
    """It is said that the fleet does not offer it; with nobody at all, that nobody answers."""
    async with fleet.client() as client:
        with pytest.raises(BrokerError) as nobody:
            async with client.durable("crm"):
                pass
        assert nobody.value.code is ErrorCode.E_BROKER_UNAVAILABLE
        await fleet.answer("health.get", lambda _args: {"ok": True, "version": "1"})
        with pytest.raises(NotSupportedError):
            async with client.durable("crm"):
                pass
