"""An inbox through crashes: a command goes to one session and is queued there once, whenever its dispatcher dies."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.dispatcher import reading
from pywhatsweb_fleet.dispatcher.dispatching import Dispatching
from pywhatsweb_fleet.dispatcher.reading import Raw, Tenant
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.up.backups import Manifest
from pywhatsweb_fleet.up.requeueing import bring_back
from pywhatsweb_runtime import provision, registry
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, parts, replica, text
from tests.support.inboxes import INBOX, ended, make, moves, person, queued, tell

PEOPLE = 40
EACH = 5


class Replay:
    """A dispatcher that is stopped where a test says, and begun anew."""

    def __init__(self, user: User, deps: Deps) -> None:
        self._user = user
        self._deps = deps
        self._sequence = 0

    def raw(self, name: str, to: str, **more: Any) -> Raw:
        self._sequence += 1
        body = msgspec.msgpack.encode(text(id=name, to=to, **more))
        return Raw(f"wa.cmd.acme.{INBOX}.send", self._sequence, time.time_ns() // 1_000_000, {}, body)

    @property
    def tenant(self) -> Tenant:
        return self._deps.directory.tenants[self._user.tenant.name]

    async def chosen(self, *raws: Raw) -> list[str]:
        """Dies as soon as each command has its session: which."""
        jobs = [reading.read(self.tenant, raw) for raw in raws]
        await self._deps.inboxes.place(self.tenant, jobs)
        return [job.session for job in jobs]

    async def claimed(self, *raws: Raw) -> None:
        """Dies when the commands are claimed, and nothing is queued or told."""
        await Dispatching(self.tenant.id, self._deps).handle([*raws])

    async def done(self, *raws: Raw) -> None:
        async def fresh() -> bool:
            return True

        dispatch = await Dispatching(self.tenant.id, self._deps).handle([*raws])
        await (await dispatch(fresh))

    async def holds_at_most(self, messages: int) -> None:
        """The tenant's queues from now on."""
        limits = msgspec.structs.replace(self.tenant.record.limits, queue_messages=messages)
        await self.has(limits=limits)
        await provision.ensure_tenant(self._deps.bus, self.tenant.id, limits)

    async def has(self, **fields: Any) -> None:
        """Changes the tenant's record."""
        changed = msgspec.structs.replace(self.tenant.record, **fields)
        await self._deps.directory.tenant_bucket.put(self.tenant.id, registry.encode(changed))
        await self._deps.directory.sweep_tenants()

    async def becomes(self, session: str, status: str, **fields: Any) -> None:
        """As the session's owner tells, and heard here."""
        await tell(self._user, session, status, **fields)
        stream, subject = (
            streams.events_name(self.tenant.id),
            subjects.now(self.tenant.id, SessionId(session)),
        )
        stored = await self._deps.bus.last(stream, subject)
        assert stored is not None
        self._deps.holds.learn(subject, stored.data)

    async def stops(self, session: str) -> None:
        """Banned, as its owner leaves it."""
        await self.becomes(session, "BANNED", error="E_WHATSAPP_BANNED")
        await self._user.tenant.wish(session, wanted="stopped")
        await self._deps.directory.on_session(f"acme.{session}")


@pytest.fixture
async def replay(numbers: User, record: Store) -> AsyncIterator[Replay]:
    async with parts(numbers.tenant.bus, record) as deps:
        yield Replay(numbers, deps)


async def inbox(numbers: User, nats_server: NatsServer, directory: Path) -> None:
    async with dispatcher(nats_server.url, directory):
        await make(numbers, spread="first_working")


async def test_a_choice_outlives_its_dispatcher(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User, replay: Replay
) -> None:
    """Chosen, or claimed, and then killed; the session is banned before the command is delivered again: it goes there
    all the same, once, and whoever has nothing on the way goes on with the other."""
    await inbox(numbers, nats_server, tmp_path)
    sent, chosen, claimed = (replay.raw(f"c{n}", person(n)) for n in (1, 2, 3))
    await replay.done(sent)
    await ended(record, "s1", "c1")
    assert await replay.chosen(chosen) == ["s1"]
    await replay.claimed(claimed)
    await replay.becomes("s1", "BANNED", error="E_WHATSAPP_BANNED")  # its owner has not written more yet
    await replay.done(chosen, claimed, replay.raw("new", person(4)))
    await replay.done(claimed, replay.raw("after-1", person(1)), replay.raw("after-2", person(2)))
    assert await queued(numbers, "s1") == ["c1", "c2", "c3", "after-2"]
    assert await queued(numbers, "s2") == ["new", "after-1"]
    assert await moves(record) == [("s1", "s2", "banned")]


async def test_a_full_queue_of_a_banned_session_stays(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User, replay: Replay
) -> None:
    """Nothing twice, nothing lost, nothing moved that was queued; what found no room may be sent through another."""
    await replay.holds_at_most(5)
    await inbox(numbers, nats_server, tmp_path)
    await replay.done(*(replay.raw(f"c{n}", person(n)) for n in range(1, 7)))
    full = [f"c{n}" for n in range(1, 6)]
    assert await queued(numbers, "s1") == full
    assert await numbers.refused("c6", timeout=60) == "E_QUEUE_FULL"
    await replay.stops("s1")
    await replay.done(*(replay.raw(f"more-{n}", person(n)) for n in range(1, 7)), replay.raw("c6", person(6)))
    for n in range(1, 6):
        assert await numbers.refused(f"more-{n}", timeout=60) == "E_SESSION_STOPPED"
    assert await queued(numbers, "s1") == full
    assert await queued(numbers, "s2") == ["more-6", "c6"]
    await ended(record, "s1", *full)  # the ban was lifted, say
    await replay.done(*(replay.raw(f"more-{n}", person(n)) for n in range(1, 4)))
    assert await queued(numbers, "s2") == ["more-6", "c6", *(f"more-{n}" for n in range(1, 4))]


async def test_new_contacts_are_counted_once_by_session(
    nats_server: NatsServer,
    tmp_path: Path,
    record: Store,
    numbers: User,
    replay: Replay,
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed between choice, claim and queue: somebody new is counted once, where they were given to; the next ones go
    to the other session, and nobody once both are used up, except to whom a session knows."""
    monkeypatch.setattr(usage, "day_of", lambda _now: 20_000)
    await replay.has(session_new_contacts_per_day=1)
    await inbox(numbers, nats_server, tmp_path)
    first, second, third = (replay.raw(f"c{n}", person(n)) for n in (1, 2, 3))
    assert await replay.chosen(first) == ["s1"]
    await replay.claimed(first)
    assert await replay.chosen(second) == ["s2"]
    await replay.done(first, second, third)
    await replay.done(first, second, third, replay.raw("again", person(1)))
    assert await numbers.refused("c3", timeout=60) == "E_QUOTA_EXCEEDED"
    assert await queued(numbers, "s1") == ["c1", "again"]
    assert await queued(numbers, "s2") == ["c2"]
    counts = await record.read(usage.of_day, "acme", 20_000)
    new = {session: count for (session, what), count in counts.items() if what == usage.SESSION_NEW_CONTACTS}
    assert new == {"s1": 1, "s2": 1}


async def test_a_session_that_stops_keeps_its_people_for_a_while(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User, replay: Replay
) -> None:
    """As long as the inbox says; one that is deleted, or out of the list, loses them at once."""
    async with dispatcher(nats_server.url, tmp_path):
        await make(numbers, spread="first_working", failover="stopped", cooldown_s=3600)
        await replay.done(replay.raw("c1", person(1)), replay.raw("c2", person(2)))
        await ended(record, "s1", "c1", "c2")
        await replay.becomes("s1", "LOGGED_OUT", error="E_SESSION_LOGGED_OUT")
        assert await replay.chosen(replay.raw("early", person(1))) == ["s1"]
        await make(numbers, spread="first_working", failover="stopped", cooldown_s=0)
        await replay.done(replay.raw("late", person(2)))
        assert await queued(numbers, "s2") == ["late"]
        await ended(record, "s2", "late")
        await replay.becomes("s1", "WORKING")
        await make(numbers, sessions=["s1"], failover="never")
        assert await replay.chosen(replay.raw("out-of-the-list", person(2))) == ["s1"]
        assert await moves(record) == [("s2", "s1", "gone"), ("s1", "s2", "stopped")]


async def test_a_restored_fleet_sends_nothing_old(
    nats_server: NatsServer, tmp_path: Path, numbers: User, replay: Replay
) -> None:
    """What was on its way through an inbox when the backup was made ends as unknown, where it was; sent once more under
    its id, it goes nowhere."""
    await inbox(numbers, nats_server, tmp_path)
    for n, name in enumerate(("given", "waits"), 1):
        await numbers.publish(text(id=name, to=person(n)), INBOX)
    assert await replay.chosen(replay.raw("given", person(1))) == ["s1"]
    manifest = Manifest(
        format=1,
        version="",
        made_at="",
        schema="",
        database="sqlite",
        stopped=True,
        tenants=["acme"],
        streams={},
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "fleet.db", isolation_level=None)) as conn:
        unknown = await bring_back(
            numbers.tenant.bus, manifest, tmp_path, lambda sql, *values: conn.execute(sql, values).fetchall(),
            keep_queues=False,
        )  # fmt: skip
    assert unknown == 2
    async with dispatcher(nats_server.url, tmp_path):
        for n, (name, where) in enumerate((("given", "s1"), ("waits", INBOX)), 1):
            await numbers.publish(text(id=name, to=person(n)), INBOX)
            first, again = await numbers.told(name, "unknown", "rejected", timeout=60)
            assert first["session_id"] == again["session_id"] == where
            assert again["data"]["error"]["code"] == "E_DUPLICATE_ID"
    assert await queued(numbers, "s1") == await queued(numbers, "s2") == []


async def test_a_killed_dispatcher_gives_nobody_two_sessions(
    nats_server: NatsServer, tmp_path: Path, numbers: User
) -> None:
    """kill -9 among the first commands of forty people, who all write on: each has one session, and each command one
    place, in order."""
    client = numbers.tenant.bus.client
    with replica(nats_server.url, tmp_path, "a") as first:
        await first.ready()
        await make(numbers)
        for turn in range(EACH):
            for n in range(PEOPLE):
                body = msgspec.msgpack.encode(text(id=f"{n}-{turn}", to=person(n)))
                await client.publish(f"wa.cmd.acme.{INBOX}.send", body)
        await wait_until(lambda: numbers.tenant.of("status"), 60, interval=0.001, message="it is at work")
        first.send(signal.SIGKILL)
    with replica(nats_server.url, tmp_path, "b") as second:
        await second.ready()
        # What the first had told of and not queued yet is queued by the second.
        outbox, waiting = streams.outbox_name(numbers.tenant.name), PEOPLE * EACH

        async def all_queued() -> bool:
            info = await numbers.tenant.bus.api(f"STREAM.INFO.{outbox}")
            return int(info["state"]["messages"]) >= waiting

        def all_told() -> bool:
            return len({e["data"]["command_id"] for e in numbers.tenant.of("status")}) >= waiting

        await wait_until(all_queued, 90, message="every command is queued")
        await wait_until(all_told, 60, message="every command is told of")
    where: dict[str, list[tuple[str, str]]] = {}
    for session in ("s1", "s2"):
        for name in await queued(numbers, session):
            who, _, at = name.partition("-")
            where.setdefault(who, []).append((session, at))
    assert len(where) == PEOPLE
    for places in where.values():
        assert len({session for session, _ in places}) == 1
        assert [at for _, at in places] == [str(at) for at in range(EACH)]
    assert {places[0][0] for places in where.values()} == {"s1", "s2"}
    assert {e["data"]["status"] for e in numbers.tenant.of("status")} == {MessageStatus.ACCEPTED.value}
