"""Commands with a send_at, and taking commands back."""

import time
from pathlib import Path

from pywhatsweb.contracts import queued, streams
from pywhatsweb.contracts.statuses import MessageStatus
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import Tenant, platform


def iso(seconds: float) -> str:
    """A time so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


async def scheduled(tenant: Tenant) -> int:
    """How many messages the schedules stream holds."""
    info = await tenant.bus.api(f"STREAM.INFO.{streams.schedules_name(tenant.name)}")
    return int(info["state"]["messages"])


async def test_a_scheduled_command_waits_and_is_queued_when_due(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Not before its time, through a stop of the dispatcher and of the broker, exactly once."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        user = User(tenant)
        async with dispatcher(nats_server.url, tmp_path):
            due = time.time() + 2
            await user.publish(text(id="later", send_at=iso(2), correlation_id="r", metadata={"a": 1}))
            await user.told("later", "accepted")
            assert await user.outbox() == []
        nats_server.kill()
        nats_server.start()
        await wait_until(lambda: tenant.bus.client.is_connected, 10)
        async with dispatcher(nats_server.url, tmp_path):
            _, event = await user.told("later", "accepted", "queued", timeout=10)
            assert time.time() >= due - 1  # `iso` cuts the fraction of the second off
            (waiting,) = await user.outbox()
            found = queued.from_headers(waiting.headers)
            assert (found.command_id, found.recipient) == ("later", "pn:+5511999990001")
            assert (event["correlation_id"], event["data"]["metadata"]) == ("r", {"a": 1})

            async def empty() -> bool:
                return await scheduled(tenant) == 0

            await wait_until(empty, 5, message="what was due is purged")


async def test_a_scheduled_command_is_looked_at_again_when_due(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Stopped or expired meanwhile: rejected or expired, and not sent."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        await tenant.wish("s2")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            await user.publish(text(id="stopped", send_at=iso(5)))
            await user.publish(text(id="expired", send_at=iso(5), expires_at=iso(4)), "s2")
            await user.told("stopped", "accepted")
            await user.ask("session.stop", session_id="s1")
            _, stopped = await user.told("stopped", "accepted", "rejected", timeout=30)
            assert stopped["data"]["error"]["code"] == "E_SESSION_STOPPED"
            await user.told("expired", "accepted", "expired", timeout=30)
            assert await user.outbox() == []
            assert await user.outbox("s2") == []


async def test_a_scheduled_command_is_cancelled(nats_server: NatsServer, tmp_path: Path) -> None:
    """It ends as cancelled, once; again it is the same; its id is remembered."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            body = text(id="later", send_at=iso(3600), correlation_id="r")
            await user.publish(body)
            await user.told("later", "accepted")
            await user.publish({"id": "x1", "command_id": "later"}, verb="cancel")
            await user.told("x1", "accepted")
            _, event = await user.told("later", "accepted", "cancelled")
            assert event["correlation_id"] == "r"
            assert event["data"]["chat"]["pn"] == "+5511999990001"
            await user.publish({"id": "x2", "command_id": "later"}, verb="cancel")
            await user.told("x2", "accepted")
            await user.publish(body)
            *_, event = await user.told("later", "accepted", "cancelled", "cancelled")
            assert event["data"]["duplicate"]
            assert await user.outbox() == []
            status = await user.ask("message.status", id="later")
            assert status["data"]["status"]["status"] == "cancelled"


async def test_a_cancel_right_behind_its_command(nats_server: NatsServer, tmp_path: Path) -> None:
    """In one batch with it, and on a stopped session, too."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        user = User(tenant)
        await user.publish(text(id="later", send_at=iso(3600)))
        await user.publish({"id": "x1", "command_id": "later"}, verb="cancel")
        await user.publish(text(id="kept", send_at=iso(3600)))
        async with dispatcher(nats_server.url, tmp_path):
            await user.told("later", "accepted", "cancelled")
            await user.told("kept", "accepted")
            await user.ask("session.stop", session_id="s1")
            await user.publish({"id": "x2", "command_id": "kept"}, verb="cancel")
            await user.told("kept", "accepted", "cancelled")


async def test_a_waiting_command_is_cancelled_by_the_worker(nats_server: NatsServer, tmp_path: Path) -> None:
    """What is in the outbox is the worker's to decide: it gets the cancel, with the target's digest."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            await user.publish(text(id="c1"))
            await user.publish({"id": "x1", "command_id": "c1"}, verb="cancel")
            await user.told("x1", "accepted")
            first, second = [queued.from_headers(stored.headers) for stored in await user.outbox()]
            assert (second.verb, second.target) == ("cancel", first.digest)
            assert tenant.statuses("c1") == [MessageStatus.ACCEPTED]


async def test_schedules_are_bounded(nats_server: NatsServer, tmp_path: Path) -> None:
    """The limit is the tenant's; what is refused may come again."""
    limits = streams.TenantLimits(scheduled_messages=3)
    async with platform(nats_server.url, "acme", limits=limits) as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            for at in range(4):
                await user.publish(text(id=f"c{at}", send_at=iso(3600)))
            assert await user.refused("c3") == "E_QUEUE_FULL"
            assert await scheduled(tenant) == 3
