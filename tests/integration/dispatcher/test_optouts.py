"""Somebody who opted out is not written to: at the door of any replica, by any address, and when a time has come."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts.ids import CommandId, SessionId
from pywhatsweb_fleet.storage import boards, optouts, people
from pywhatsweb_fleet.storage.boards import Activity
from pywhatsweb_fleet.storage.optouts import OptOut
from pywhatsweb_fleet.storage.people import Sighting
from pywhatsweb_fleet.storage.store import Store
from tests.integration.dispatcher.test_commands import iso
from tests.support import NatsServer
from tests.support.dispatching import User, dispatcher, replica, text
from tests.support.fleet import platform

OUT, OTHER, LID = "+5511999990001", "+5511999990002", "998877665544332"
OPTED_OUT = "E_CONTACT_OPTED_OUT"


@pytest.fixture
async def user(nats_server: NatsServer, record: Store) -> AsyncIterator[User]:
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        yield User(tenant)


async def refused(user: User, name: str) -> str:
    return await user.refused(name, timeout=30)


async def choose(record: Store, user: User, state: str, pn: str = OUT, at: int = 0) -> None:
    key = ids.chat_key(user.tenant.key, pn=pn)
    row = OptOut("acme", key, key, state, at or time.time_ns() // 1_000_000, "request")
    await record.transact(optouts.put, row, [key])


async def wrote(record: Store, user: User, at: int, pn: str = OUT, session: str = "s1") -> None:
    key = ids.chat_key(user.tenant.key, pn=pn)
    await record.transact(boards.record_activity, [Activity("acme", session, key, pn, None, None, at, 0)])


async def test_who_opted_out_is_written_to_by_nobody(
    nats_server: NatsServer, tmp_path: Path, record: Store, user: User
) -> None:
    """Rejected before it is queued, whichever address names them; what writes nothing passes, and so do the others."""
    await choose(record, user, "out")
    await record.transact(people.observe, [Sighting("acme", OUT, LID, None, 1)])
    async with dispatcher(nats_server.url, tmp_path):
        await user.publish(text(id="number", to=OUT))
        await user.publish(text(id="marketing", to=OUT, purpose="marketing"))
        await user.publish(text(id="lid", to=f"lid:{LID}"))
        await user.publish(text(id="old-form", to="+551199990001"))
        await user.publish({"id": "forward", "to": OUT, "message_id": "3EB0AA"}, verb="forward")
        await user.publish({"id": "read", "to": OUT, "message_ids": ["3EB0AA"]}, verb="read")
        await user.publish(text(id="other", to=OTHER))
        for name in ("number", "marketing", "lid", "old-form", "forward"):
            assert await refused(user, name) == OPTED_OUT
        for name in ("read", "other"):
            await user.told(name, "accepted", timeout=30)
        assert [one.headers["Pww-Command-Id"] for one in await user.outbox()] == ["read", "other"]
        await choose(record, user, "in")
        await user.publish(text(id="number", to=OUT))  # rejected before: the same id may try again
        await user.told("number", "rejected", "accepted", timeout=30)


async def test_whoever_writes_again_may_be_answered(
    nats_server: NatsServer, tmp_path: Path, record: Store, user: User
) -> None:
    """By the session that they wrote to, for a week, and not with marketing."""
    await user.tenant.wish("s2")
    now = time.time_ns() // 1_000_000
    long_ago = now - optouts.ANSWER_MS - 60_000
    await choose(record, user, "out", at=now - 60_000)
    await wrote(record, user, now - 60_000)
    await choose(record, user, "out", pn=OTHER, at=long_ago - 60_000)
    await wrote(record, user, long_ago, pn=OTHER)
    async with dispatcher(nats_server.url, tmp_path):
        await user.publish(text(id="same-moment", to=OUT))
        assert await refused(user, "same-moment") == OPTED_OUT
        await wrote(record, user, now - 30_000)
        await user.publish(text(id="answer", to=OUT))
        await user.told("answer", "accepted", timeout=30)
        await user.publish(text(id="marketing", to=OUT, purpose="marketing"))
        await user.publish(text(id="elsewhere", to=OUT), "s2")
        await user.publish(text(id="too-late", to=OTHER))
        for name in ("marketing", "elsewhere", "too-late"):
            assert await refused(user, name) == OPTED_OUT


async def fall_due(user: User, command_id: str) -> None:
    """Its time comes now: the same schedule, for this moment."""
    tenant, session = user.tenant, SessionId("s1")
    digest = ids.command_digest(tenant.key, session, CommandId(command_id))
    subject = subjects.schedule(tenant.name, session, digest)
    stored = await tenant.bus.last(streams.schedules_name(tenant.name), subject)
    assert stored is not None
    kept = {
        name: value for name, value in stored.headers.items() if name.startswith(("Pww-", "Nats-Schedule"))
    }
    headers = {**kept, "Nats-Schedule": f"@at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "Nats-Rollup": "sub"}
    await tenant.bus.store(subject, stored.data, headers)


async def test_a_scheduled_command_is_looked_at_again(
    nats_server: NatsServer, tmp_path: Path, record: Store, user: User
) -> None:
    """Accepted before the opt-out, due after it: rejected, and never queued."""
    async with dispatcher(nats_server.url, tmp_path):
        for name, to in (("later", OUT), ("other", OTHER)):
            await user.publish(text(id=name, to=to, send_at=iso(3600)))
            await user.told(name, "accepted", timeout=30)
        await choose(record, user, "out")
        await fall_due(user, "later")
        await fall_due(user, "other")
        await user.told("other", "accepted", "queued", timeout=60)
        await user.told("later", "accepted", "rejected", timeout=60)
        assert [one.headers["Pww-Command-Id"] for one in await user.outbox()] == ["other"]
        answer = await user.ask("message.status", id="later")
        assert answer["data"]["status"]["status"] == "rejected"
        assert answer["data"]["status"]["error"]["code"] == OPTED_OUT


async def test_every_replica_knows_it_and_the_next_process_too(
    nats_server: NatsServer, tmp_path: Path, record: Store, user: User
) -> None:
    """Killed and taken over, the fleet refuses as before."""
    await choose(record, user, "out")
    with replica(nats_server.url, tmp_path, "a") as first, replica(nats_server.url, tmp_path, "b") as second:
        await first.ready()
        await second.ready()
        await user.publish(text(id="first", to=OUT, purpose="marketing"))
        assert await user.refused("first", timeout=30) == OPTED_OUT
        first.process.kill()
        await user.publish(text(id="second", to=OUT, purpose="marketing"))
        await user.publish(text(id="other", to=OTHER))
        assert await user.refused("second", timeout=60) == OPTED_OUT
        await user.told("other", "accepted", timeout=60)
