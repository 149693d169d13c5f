"""Publishing in order, once and with a verdict each, on a real broker that is killed and frozen meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import (
    MESSAGE_TOO_LARGE,
    QUEUE_FULL,
    WRONG_LAST_SEQUENCE,
    ApiError,
    BrokerSettings,
    BrokerUnavailable,
    Bus,
    connect,
)
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.publisher import PubAck, Publisher, publishing
from tests.support import NatsServer, running_nats_server, wait_until

ACME = TenantId("acme")
Futures = list["asyncio.Future[PubAck]"]


@asynccontextmanager
async def publisher(
    server: NatsServer, *, in_flight: int = 1024, deadline_s: float = 10.0, queue: int = 1000
) -> AsyncIterator[tuple[Bus, Publisher]]:
    limits = streams.TenantLimits(queue_messages=queue)
    async with connect(BrokerSettings(nats_url=server.url), name="test") as bus:
        for config in (streams.events(ACME, limits), streams.outbox(ACME, limits)):
            await provision.ensure_stream(bus, config)
        async with publishing(bus, in_flight=in_flight, deadline_s=deadline_s) as made:
            yield bus, made


async def stored(bus: Bus, stream: str, subject: str) -> list[tuple[int, str]]:
    """Sequence and text of everything there."""
    found: list[tuple[int, str]] = []
    async with reading(bus) as reader:
        while batch := await reader.batch(stream, subject, found[-1][0] + 1 if found else 1, limit=1000):
            found += [(one.sequence, one.data.decode()) for one in batch]
    return found


def event(number: int) -> tuple[str, bytes, dict[str, str]]:
    return f"wai.evt.acme.s{number % 7}.status.-", str(number).encode(), {"Nats-Msg-Id": f"id-{number}"}


async def texts(bus: Bus) -> list[str]:
    return [text for _, text in await stored(bus, "WA_EVT_acme", "wa.evt.acme.>")]


async def test_a_burst_is_stored_in_order_with_true_sequences(nats_server: NatsServer) -> None:
    """Singles, then batches: the acknowledgements name the sequences under which the messages lie."""
    async with publisher(nats_server) as (bus, pub):
        futures = [await pub.submit(*event(n)) for n in range(3000)]
        acks = await asyncio.gather(*futures)
        found = await stored(bus, "WA_EVT_acme", "wa.evt.acme.>")
        assert [text for _, text in found] == [str(n) for n in range(3000)]
        assert [ack.seq for ack in acks] == [sequence for sequence, _ in found]
        assert {ack.stream for ack in acks} == {"WA_EVT_acme"}
        assert not any(ack.duplicate for ack in acks)
        assert pub.in_flight == 0
        raw = await bus.last("WA_EVT_acme", "wa.evt.acme.>")
        assert raw is not None
        assert "Nats-Batch-Commit" in raw.headers, "the last of them came in a batch"


async def test_repeats_and_stale_fences_end_alone(nats_server: NatsServer) -> None:
    """Among 500 neighbours: an id that is known, one twice in a batch, and an owner that was replaced."""
    async with publisher(nats_server) as (bus, pub):
        old = await bus.compare_and_set("wai.own.acme.s1", b"a", 0, {"Nats-Rollup": "sub"})
        new = await bus.compare_and_set("wai.own.acme.s1", b"b", old, {"Nats-Rollup": "sub"})
        first = await pub.publish(*event(0))

        def fenced(number: int, epoch: int) -> tuple[str, bytes, dict[str, str]]:
            subject, data, headers = event(number)
            return (
                subject,
                data,
                {
                    **headers,
                    "Nats-Expected-Last-Subject-Sequence": str(epoch),
                    "Nats-Expected-Last-Subject-Sequence-Subject": "wa.own.acme.s1",
                    "Nats-TTL": "600s",
                },
            )

        futures = {}
        for n in range(1, 501):
            if n == 100:
                futures["known"] = await pub.submit(*event(0))
            if n == 200:
                futures["stale"] = await pub.submit(*fenced(9999, old))
            if n == 300:
                futures["twice"] = await pub.submit(*fenced(299, new))
            futures[str(n)] = await pub.submit(*fenced(n, new))
        with pytest.raises(ApiError) as refused:
            await futures.pop("stale")
        assert refused.value.code == WRONG_LAST_SEQUENCE
        acks = dict(zip(futures, await asyncio.gather(*futures.values()), strict=True))
        assert acks["known"] == PubAck(first.stream, first.seq, duplicate=True)
        assert acks["twice"] == PubAck(first.stream, acks["299"].seq, duplicate=True)
        assert await texts(bus) == [str(n) for n in range(501)]


async def test_a_full_queue_refuses_only_its_own(nats_server: NatsServer) -> None:
    """Of each session's commands exactly as many are taken as its queue holds, the first ones."""
    async with publisher(nats_server, queue=50) as (bus, pub):
        futures = [
            await pub.submit(f"wa.out.acme.s{n % 3}", str(n).encode(), {"Nats-Msg-Id": f"q{n}"})
            for n in range(300)
        ]
        results = await asyncio.gather(*futures, return_exceptions=True)
        codes = [result.code if isinstance(result, ApiError) else 0 for result in results]
        assert codes == [0] * 150 + [QUEUE_FULL] * 150
        found = await stored(bus, "WA_OUT_acme", "wa.out.acme.>")
        assert [text for _, text in found] == [str(n) for n in range(150)]


async def test_a_present_state_goes_with_events_in_order(nats_server: NatsServer) -> None:
    """Rollups among a burst keep their place: the last one is what stays, after the events before it."""
    async with publisher(nats_server) as (bus, pub):
        futures: Futures = []
        for n in range(300):
            futures.append(await pub.submit(*event(n)))
            if n % 50 == 0:
                rollup = {"Nats-Msg-Id": f"now-{n}", "Nats-Rollup": "sub"}
                futures.append(await pub.submit("wai.now.acme.s1", str(n).encode(), rollup))
        await asyncio.gather(*futures)
        assert await texts(bus) == [str(n) for n in range(300)]
        now = await bus.last("WA_EVT_acme", "wa.now.acme.s1")
        assert now is not None
        assert now.data == b"250"


async def test_what_is_too_large_for_the_broker_is_refused_at_once(nats_server: NatsServer) -> None:
    """The connection is not cut over it, and its neighbours are stored."""
    async with publisher(nats_server) as (bus, pub):
        futures = [await pub.submit(*event(n)) for n in range(100)]
        too_large = await pub.submit("wai.evt.acme.s1.status.-", bytes(2**20), {"Nats-Msg-Id": "large"})
        futures += [await pub.submit(*event(n)) for n in range(100, 200)]
        with pytest.raises(ApiError) as refused:
            await too_large
        assert refused.value.code == MESSAGE_TOO_LARGE
        await asyncio.gather(*futures)
        assert await texts(bus) == [str(n) for n in range(200)]
        assert bus.client.stats["reconnects"] == 0


async def test_a_stream_of_an_older_version_gets_singles(nats_server: NatsServer) -> None:
    """Until it is brought up to date it takes no batches; afterwards it does, with what it holds."""
    async with publisher(nats_server) as (bus, pub):
        limits = streams.TenantLimits()
        old = {**streams.events(TenantId("beta"), limits), "allow_atomic": False}
        await provision.ensure_stream(bus, old)
        for_beta = [(event(n)[0].replace("acme", "beta"), *event(n)[1:]) for n in range(400)]
        await asyncio.gather(*[await pub.submit(*one) for one in for_beta])
        await provision.ensure_stream(bus, streams.events(TenantId("beta"), limits))
        config = (await bus.api("STREAM.INFO.WA_EVT_beta"))["config"]
        assert config["allow_atomic"] is True
        found = await stored(bus, "WA_EVT_beta", "wa.evt.beta.>")
        assert [text for _, text in found] == [str(n) for n in range(400)]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_kills_of_the_broker_under_load(tmp_path: Path, seed: int) -> None:
    """kill -9 five times in the middle: every future resolves, everything is stored once and in order."""
    dice = random.Random(seed)
    with running_nats_server(tmp_path / "nats") as server:
        async with publisher(server, deadline_s=60) as (bus, pub):
            futures: Futures = []

            async def load() -> None:
                for n in range(12_000):
                    futures.append(await pub.submit(*event(n)))
                    if n % 40 == 0:
                        await asyncio.sleep(dice.random() / 100)

            async def kill() -> None:
                for _ in range(5):
                    await asyncio.sleep(0.2 + dice.random() / 2)
                    known = bus.client.stats["reconnects"]
                    await asyncio.to_thread(server.kill)
                    await asyncio.sleep(dice.random() / 2)
                    await asyncio.to_thread(server.start)
                    await wait_until(lambda known=known: bus.client.stats["reconnects"] > known, 30)  # type: ignore[misc]

            await asyncio.wait_for(asyncio.gather(load(), kill()), 60)
            acks = await asyncio.wait_for(asyncio.gather(*futures), 60)
            found = await stored(bus, "WA_EVT_acme", "wa.evt.acme.>")
            assert [text for _, text in found] == [str(n) for n in range(12_000)]
            assert [ack.seq for ack in acks] == [sequence for sequence, _ in found]


async def test_a_freeze_under_load(nats_server: NatsServer) -> None:
    """SIGSTOP for longer than a resend takes, and SIGCONT: nothing hangs, is lost or stored twice."""
    async with publisher(nats_server, deadline_s=60) as (bus, pub):
        futures: Futures = []

        async def load(numbers: range) -> None:
            for n in numbers:
                futures.append(await pub.submit(*event(n)))
                if n % 50 == 0:
                    await asyncio.sleep(0.005)

        loading = asyncio.ensure_future(load(range(4000)))
        await asyncio.sleep(0.1)
        os.kill(nats_server.pid, signal.SIGSTOP)
        await asyncio.sleep(3.2)
        os.kill(nats_server.pid, signal.SIGCONT)
        await asyncio.wait_for(loading, 30)
        await asyncio.wait_for(asyncio.gather(*futures), 60)
        assert await texts(bus) == [str(n) for n in range(4000)]


async def test_frozen_then_killed(nats_server: NatsServer) -> None:
    """What the socket had swallowed is lost, and what waited behind it must not overtake it at the reconnect."""
    async with publisher(nats_server, deadline_s=60) as (bus, pub):
        await provision.ensure_stream(bus, streams.commands(ACME, streams.TenantLimits()))
        subject = "wa.cmd.acme.s1.send"  # a stream without batches: everything is in flight at once

        def command(number: int, size: int) -> tuple[str, bytes, dict[str, str]]:
            return subject, str(number).encode().ljust(size), {"Nats-Msg-Id": str(number)}

        await asyncio.gather(*(pub.publish(*command(n, 1)) for n in range(100)))
        os.kill(nats_server.pid, signal.SIGSTOP)
        swallowed = asyncio.gather(*(pub.publish(*command(n, 60_000)) for n in range(100, 300)))
        await asyncio.sleep(0.2)
        behind = asyncio.gather(*(pub.publish(*command(n, 6_000)) for n in range(300, 500)))
        await asyncio.sleep(0.2)
        waiting = bus.client.pending_data_size
        os.kill(nats_server.pid, signal.SIGKILL)
        await asyncio.to_thread(nats_server.kill)
        await asyncio.to_thread(nats_server.start)
        await asyncio.wait_for(asyncio.gather(swallowed, behind), 60)
        assert waiting > 2**20, "much waited behind the socket"
        found = await stored(bus, "WA_CMD_acme", "wa.cmd.acme.>")
        assert [int(text) for _, text in found] == list(range(500))


async def test_no_publish_hangs_when_the_broker_stays_away(nats_server: NatsServer) -> None:
    """Each of them ends at its deadline, those that wait for room too, and room is there again afterwards."""
    async with publisher(nats_server, in_flight=100, deadline_s=1.0) as (bus, pub):
        nats_server.kill()
        results = await asyncio.wait_for(
            asyncio.gather(*(pub.publish(*event(n)) for n in range(250)), return_exceptions=True), 15
        )
        assert {type(result) for result in results} == {BrokerUnavailable}
        assert pub.in_flight == 0
        await asyncio.to_thread(nats_server.start)
        await wait_until(lambda: bus.client.is_connected, 5)
        await asyncio.gather(*(pub.publish(*event(n)) for n in range(1000, 1250)))
        assert await texts(bus) == [str(n) for n in range(1000, 1250)]


async def test_closing_ends_what_is_open(nats_server: NatsServer) -> None:
    """Whoever still waits when the publisher closes is told, also those that wait for room."""
    async with connect(BrokerSettings(nats_url=nats_server.url), name="test") as bus:
        async with publishing(bus, in_flight=10) as pub:
            waiting = [asyncio.ensure_future(pub.publish(*event(n))) for n in range(25)]
            await asyncio.sleep(0)
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert {type(result) for result in results} == {BrokerUnavailable}
