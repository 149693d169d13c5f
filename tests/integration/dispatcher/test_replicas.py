"""Several dispatchers: one serves a tenant at a time, and whoever takes over goes on where it stopped."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.dispatcher import tenants
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, replica, text
from tests.support.fleet import platform

SESSIONS = ("s1", "s2", "s3")
EACH = 300


@pytest.fixture
async def user(nats_server: NatsServer) -> AsyncIterator[User]:
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        for session in SESSIONS:
            await tenant.wish(session)
        yield User(tenant)


async def publish_all(user: User, started: asyncio.Event) -> None:
    """Numbered commands, interleaved over the sessions, over about three seconds."""
    client = user.tenant.bus.client
    for at in range(EACH):
        for session in SESSIONS:
            body = msgspec.msgpack.encode(text(str(at), id=f"{session}-{at}"))
            await client.publish(f"wa.cmd.acme.{session}.send", body)
        if at == 30:
            started.set()
        await asyncio.sleep(0.01)
    await client.flush()


async def check_all(user: User) -> None:
    """Each command once in its queue, in the order of publication, and told once as accepted."""
    total = EACH * len(SESSIONS)
    await wait_until(
        lambda: len({e["data"]["command_id"] for e in user.tenant.of("status")}) >= total,
        30,
        message="every command is told",
    )
    for session in SESSIONS:
        queue = [msgspec.msgpack.decode(stored.data)["text"]["body"] for stored in await user.outbox(session)]
        assert queue == [str(at) for at in range(EACH)]
    told = [
        (e["data"]["command_id"], e["data"]["status"], e["data"]["duplicate"])
        for e in user.tenant.of("status")
    ]
    assert len(told) == len(set(told)) == total
    assert {status for _, status, _ in told} == {"accepted"}


async def test_a_killed_replica_is_replaced(user: User, nats_server: NatsServer, tmp_path: Path) -> None:
    """kill -9 in the middle: the other goes on within seconds, in order, with nothing lost or doubled."""
    with replica(nats_server.url, tmp_path, "a") as first:
        await first.ready()
        started = asyncio.Event()
        publishing = asyncio.create_task(publish_all(user, started))
        await started.wait()
        await wait_until(lambda: len(user.tenant.of("status")) > 50, 5)
        with replica(nats_server.url, tmp_path, "b") as second:
            await second.ready()
            first.send(signal.SIGKILL)
            await publishing
            await check_all(user)


async def test_a_frozen_replica_publishes_nothing_stale(
    user: User, nats_server: NatsServer, tmp_path: Path
) -> None:
    """SIGSTOP in the middle, a takeover, SIGCONT: what the first still held is not done again."""
    for name in (streams.commands_name(user.tenant.name), streams.outbox_name(user.tenant.name)):
        # Without JetStream's own dedupe to hide it.
        config = (await user.tenant.bus.api(f"STREAM.INFO.{name}"))["config"]
        await user.tenant.bus.api(f"STREAM.UPDATE.{name}", {**config, "duplicate_window": 100_000_000})
    with replica(nats_server.url, tmp_path, "a") as first:
        await first.ready()
        started = asyncio.Event()
        publishing = asyncio.create_task(publish_all(user, started))
        await started.wait()
        await wait_until(lambda: len(user.tenant.of("status")) > 50, 5)
        # A database of its own: a process that is frozen with SQLite's one write lock holds up every other.
        with replica(nats_server.url, tmp_path, "b", database="other.db") as second:
            await second.ready()
            first.send(signal.SIGSTOP)
            await publishing
            await wait_until(
                lambda: len(user.tenant.of("status")) >= EACH * len(SESSIONS),
                30,
                message="the other took over",
            )
            first.send(signal.SIGCONT)
            await user.publish(text(id="after"))
            await user.told("after", "accepted")
            second.send(signal.SIGTERM)
            await asyncio.to_thread(second.process.wait, 30)
            await user.publish(text(id="last"))
            await user.told("last", "accepted", timeout=10)
        queue = [msgspec.msgpack.decode(stored.data)["text"]["body"] for stored in await user.outbox()]
        assert queue == [*(str(at) for at in range(EACH)), "hi", "hi"]
        told = [e["data"]["command_id"] for e in user.tenant.of("status")]
        assert len(told) == len(set(told)) == EACH * len(SESSIONS) + 2


async def test_a_stopped_replica_hands_over_at_once(
    user: User, nats_server: NatsServer, tmp_path: Path
) -> None:
    """SIGTERM gives the pin back: no second without a dispatcher."""
    async with dispatcher(nats_server.url, tmp_path):
        await user.publish(text(id="c0"))
        await user.told("c0", "accepted")
        with replica(nats_server.url, tmp_path, "b") as second:
            await second.ready()
            second.send(signal.SIGTERM)
            await asyncio.to_thread(second.process.wait, 30)
            assert second.process.returncode == 0
        await user.publish(text(id="c1"))
        await user.told("c1", "accepted", timeout=10)
    async with dispatcher(nats_server.url, tmp_path):
        await user.publish(text(id="c2"))
        await user.told("c2", "accepted", timeout=10)


async def test_a_killed_broker_loses_nothing(user: User, nats_server: NatsServer, tmp_path: Path) -> None:
    """What was published before is dealt with after."""
    async with dispatcher(nats_server.url, tmp_path):
        for at in range(200):
            await user.publish(text(str(at), id=f"c{at}"))
        nats_server.kill()
        nats_server.start()
        await wait_until(lambda: user.tenant.bus.client.stats["reconnects"], 10, message="the client is back")
        await user.publish(text("200", id="c200"))

        async def all_queued() -> bool:
            return len(await user.outbox()) == 201

        await wait_until(all_queued, 15, message="everything is queued")
        queue = [msgspec.msgpack.decode(stored.data)["text"]["body"] for stored in await user.outbox()]
        assert queue == [str(at) for at in range(201)]


async def test_tenants_are_shared_between_replicas(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second replica gets its share of what the first one serves, and gives it back when it stops."""
    monkeypatch.setattr(tenants, "SHARE_EVERY_S", 0.3)
    names = [f"t{at}" for at in range(8)]
    async with platform(nats_server.url, *names) as (bus, made):
        for tenant in made:
            await tenant.wish("s1")

        async def pins() -> dict[str, str | None]:
            found = {}
            for name in names:
                info = await bus.api(f"CONSUMER.INFO.WA_CMD_{name}.dispatcher")
                found[name] = info["priority_groups"][0].get("pinned_client_id")
            return found

        async def all_serve(word: str) -> None:
            for tenant in made:
                await User(tenant).publish(text(id=word))
            for tenant in made:
                await User(tenant).told(word, "accepted", timeout=8)

        async with dispatcher(nats_server.url, tmp_path):
            await all_serve("alone")
            before = await pins()
            async with dispatcher(nats_server.url, tmp_path, ready_name="second"):

                async def shared() -> bool:
                    now = await pins()
                    return any(now[name] != before[name] for name in names)

                await wait_until(shared, 10, message="the second one serves some")
                await all_serve("both")
            await all_serve("again")
