"""Commands to an inbox: one of its sessions each, the same for a person and for an id, whoever asks or dies."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import ids, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import audit, boards, idempotency, people
from pywhatsweb_fleet.storage.boards import Activity
from pywhatsweb_fleet.storage.idempotency import Outcome
from pywhatsweb_fleet.storage.people import Sighting
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime import registry
from tests.integration.dispatcher.test_commands import iso
from tests.support import NatsServer
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform
from tests.support.waiting import wait_until

INBOX = "@support"
LID = "998877665544332"


def person(number: int) -> str:
    return f"+55119{number:08d}"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """The record, as the persistence service writes it."""
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    await store.migrate()
    yield store
    await store.close()


async def tell(user: User, session: str, status: str = "WORKING", **fields: Any) -> None:
    """A session's present state, as its owner tells it."""
    now = registry.NowRecord(status=status, since=time.time_ns() // 1_000_000, **fields)
    subject = subjects.now_ingest(user.tenant.name, SessionId(session))
    await user.tenant.bus.request(subject, registry.encode(now), headers={"Nats-Rollup": "sub"})


@pytest.fixture
async def user(nats_server: NatsServer, store: Store) -> AsyncIterator[User]:
    """With two sessions that work."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        user = User(tenant)
        for session in ("s1", "s2"):
            await tenant.wish(session)
            await tell(user, session)
        yield user


async def ask(user: User, verb: str, **fields: Any) -> dict[str, Any]:
    """The data of a request that succeeds."""
    answer = await user.ask(verb, **fields)
    assert answer["ok"], answer
    data: dict[str, Any] = answer["data"]
    return data


async def make(user: User, **fields: Any) -> dict[str, Any]:
    return await ask(user, "inbox.set", **{"inbox_id": INBOX, "sessions": ["s1", "s2"], **fields})


async def send(user: User, name: str, to: str, **more: Any) -> dict[str, Any]:
    """Sends to the inbox; the event that tells that it was accepted."""
    await user.publish(text(id=name, to=to, **more), INBOX)
    (event,) = await user.told(name, "accepted", timeout=60)
    return event


async def refused(user: User, name: str, body: dict[str, Any], verb: str = "send") -> dict[str, Any]:
    await user.publish({"id": name, **body}, INBOX, verb)
    (event,) = await user.told(name, "rejected", timeout=60)
    assert event["session_id"] == event["data"]["inbox_id"] == INBOX
    error: dict[str, Any] = event["data"]["error"]
    return error


async def queued(user: User, session: str) -> list[str]:
    return [one.headers["Pww-Command-Id"] for one in await user.outbox(session)]


async def ended(store: Store, session: str, *names: str) -> None:
    """As the record has commands that were sent."""
    now = time.time_ns() // 1_000_000
    steps = [Outcome("acme", session, name, MessageStatus.SENT, now) for name in names]
    assert all(await store.transact(idempotency.outcome, steps))


async def moves(store: Store) -> list[tuple[str, str, str]]:
    """As the audit trail has them, the newest first: from, to and why."""
    entries = await store.read(audit.page, "acme", action="inbox.move")
    found = [msgspec.json.decode(one.entry.detail) for one in entries]
    return [(one["from"], one["to"], one["why"]) for one in found]


async def heard(user: User, session: str, first: int) -> None:
    """Sends to new people until one of them is given to this session: then the dispatcher knows how the others are."""
    tried = itertools.count(first)

    async def given() -> bool:
        number = next(tried)
        return bool((await send(user, f"probe-{number}", person(number)))["session_id"] == session)

    await wait_until(given, 60, message=f"somebody new is given to {session}")


async def stopped(user: User, session: str) -> None:
    """Waits until the dispatcher knows that the session is not to run, as a banned one's owner leaves it."""
    await user.tenant.wish(session, wanted="stopped")
    tried = itertools.count(1)

    async def refuses() -> bool:
        name = f"direct-{next(tried)}"
        await user.publish(text(id=name, to=person(99)), session)
        await wait_until(lambda: user.tenant.statuses(name), 60, message=f"{name} is told of")
        return user.tenant.statuses(name) == ["rejected"]

    await wait_until(refuses, 60, message=f"{session} takes nothing")


async def test_a_person_keeps_their_session(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """New ones are spread evenly; every address of somebody leads to one session, after a restart too."""
    await store.transact(people.observe, [Sighting("acme", person(1), LID, None, 1)])
    async with dispatcher(nats_server.url, tmp_path):
        made = await make(user, by="ana")
        assert made["sessions"] == ["s1", "s2"]
        events = [await send(user, f"c{n}", person(n)) for n in range(1, 7)]
        first = {n: event["session_id"] for n, event in enumerate(events, 1)}
        assert Counter(first.values()) == {"s1": 3, "s2": 3}
        assert {event["data"]["inbox_id"] for event in events} == {INBOX}
        assert (await ask(user, "inbox.get", inbox_id=INBOX))["contacts"] == {"s1": 3, "s2": 3}
    async with dispatcher(nats_server.url, tmp_path):
        again = [await send(user, f"d{n}", person(n)) for n in range(1, 7)]
        assert {n: event["session_id"] for n, event in enumerate(again, 1)} == first
        other_names = [
            await send(user, "lid", f"lid:{LID}"),
            await send(user, "old-form", person(1).replace("+55119", "+5511", 1)),
        ]
        assert {event["session_id"] for event in other_names} == {first[1]}
        for session in ("s1", "s2"):
            for stored in await user.outbox(session):
                assert stored.headers["Pww-Inbox"] == INBOX
                name = stored.headers["Pww-Command-Id"]
                wanted = ids.whatsapp_message_id(user.tenant.key, SessionId(session), ids.CommandId(name))
                assert stored.headers["Pww-Message-Id"] == wanted
        found = await ask(user, "message.status", id="c1", session_id=INBOX)
        assert (found["session_id"], found["status"]["status"]) == (first[1], "accepted")


async def test_whoever_was_written_to_before_stays_there(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """The session that they were in touch with last, though it comes second in the list."""
    key = ids.chat_key(user.tenant.key, pn=person(1))
    rows = [
        Activity("acme", session, key, person(1), None, None, at, 0) for session, at in (("s1", 5), ("s2", 9))
    ]
    await store.transact(boards.record_activity, rows)
    async with dispatcher(nats_server.url, tmp_path):
        await make(user, spread="first_working")
        assert (await send(user, "known", person(1)))["session_id"] == "s2"
        assert (await send(user, "new", person(2)))["session_id"] == "s1"


async def test_what_an_inbox_does_not_take(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """Each by its code, and nothing of it is queued; other sessions go on."""
    async with dispatcher(nats_server.url, tmp_path):
        to = {"to": person(1)}
        assert (await refused(user, "none", text(to=person(1))))["code"] == "E_INBOX_NOT_FOUND"
        await make(user)
        group = text(to="120363000000000001@g.us")
        assert (await refused(user, "group", group))["code"] == "E_INBOX_COMMAND"
        for verb, more in (("edit", {"text": {"body": "x"}}), ("react", {"emoji": "x"})):
            error = await refused(user, verb, {**to, "message_id": "3EB0AA", **more}, verb)
            assert error["code"] == "E_INBOX_COMMAND"
        assert (await refused(user, "cancel", {"command_id": "nothing"}, "cancel"))[
            "code"
        ] == "E_COMMAND_NOT_FOUND"
        for body, code in (
            ({"inbox_id": "support", "sessions": ["s1"]}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": []}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": ["s1", "s1"]}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": ["s1", "s9"]}, "E_SESSION_NOT_FOUND"),
            ({"inbox_id": INBOX, "sessions": ["s1"], "failover": "always"}, "E_INVALID_FIELD"),
        ):
            assert (await user.ask("inbox.set", **body))["error"]["code"] == code, body
        await ask(user, "inbox.delete", inbox_id=INBOX)
        assert (await user.ask("inbox.get", inbox_id=INBOX))["error"]["code"] == "E_INBOX_NOT_FOUND"
        assert (await user.ask("inbox.delete", inbox_id=INBOX))["error"]["code"] == "E_INBOX_NOT_FOUND"
        assert (await ask(user, "inbox.list"))["inboxes"] == []
        assert await queued(user, "s1") == await queued(user, "s2") == []


async def test_nobody_may_take_somebody_new(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """Refused with when to come again; the same id is taken once a session may."""
    soon = time.time_ns() // 1_000_000 + 3_600_000
    for session in ("s1", "s2"):
        await tell(user, session, cold_until=soon)
    async with dispatcher(nats_server.url, tmp_path):
        await make(user)
        error = await refused(user, "held", text(to=person(1)))
        assert error["code"] == "E_WHATSAPP_REACHOUT_LIMITED"
        assert 0 < error["details"]["retry_after_ms"] <= 3_600_000
        for session in ("s1", "s2"):
            await tell(user, session, "SCAN_QR_CODE")
        tries = 0

        async def not_ready() -> bool:
            nonlocal tries
            tries += 1
            error = await refused(user, f"unready-{tries}", text(to=person(1)))
            return bool(error["code"] == "E_SESSION_NOT_READY" and error["details"]["retry_after_ms"] > 0)

        await wait_until(not_ready, 60, message="the dispatcher has heard that no session works")
        found = await ask(user, "message.status", id="held", session_id=INBOX)
        assert found["status"]["error"]["code"] == "E_WHATSAPP_REACHOUT_LIMITED"
        await tell(user, "s2", "RECONNECTING")

        async def taken() -> bool:
            await user.publish(text(id="held", to=person(1)), INBOX)
            return "accepted" in user.tenant.statuses("held")

        await wait_until(taken, 60, interval=0.2, message="it is taken under the same id")
        assert await queued(user, "s2") == ["held"]


async def test_a_scheduled_command_is_taken_back_where_it_was_given(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """A cancel finds the session by the id of what it cancels, in one batch with it and when the inbox is gone."""
    async with dispatcher(nats_server.url, tmp_path):
        await make(user)
        await send(user, "later", person(1), send_at=iso(3600))
        await user.publish({"id": "undo", "command_id": "later"}, INBOX, "cancel")
        await user.told("undo", "accepted", timeout=60)
        await user.told("later", "accepted", "cancelled", timeout=60)
        await send(user, "orphan", person(2), send_at=iso(3600))
        await ask(user, "inbox.delete", inbox_id=INBOX)
        await user.publish({"id": "undo-2", "command_id": "orphan"}, INBOX, "cancel")
        await user.told("orphan", "accepted", "cancelled", timeout=60)


async def test_a_banned_sessions_people_go_on_with_another(
    nats_server: NatsServer, tmp_path: Path, store: Store, user: User
) -> None:
    """One by one, as they are written to, and on record. What was queued stays queued, and so does who waits there."""
    async with dispatcher(nats_server.url, tmp_path):
        await make(user, spread="first_working")
        for n in (1, 2):
            assert (await send(user, f"before-{n}", person(n)))["session_id"] == "s1"
        await ended(store, "s1", "before-1")
        await tell(user, "s1", "BANNED", error="E_WHATSAPP_BANNED")
        await stopped(user, "s1")
        await heard(user, "s2", 100)
        assert (await send(user, "after", person(1)))["session_id"] == "s2"
        # A repeat finds where the first one went, though its recipient has moved.
        await user.publish(text(id="before-1", to=person(1)), INBOX)
        await user.told("before-1", "accepted", "sent", timeout=60)
        await user.publish(text(id="stays", to=person(2)), INBOX)
        (event,) = await user.told("stays", "rejected", timeout=60)
        assert (event["session_id"], event["data"]["error"]["code"]) == ("s1", "E_SESSION_STOPPED")
        await ended(store, "s1", "before-2")
        await user.publish(
            text(id="stays", to=person(2)), INBOX
        )  # rejected before: the same id may try again
        await user.told("stays", "rejected", "accepted", timeout=60)
        assert {"after", "stays"} <= {*await queued(user, "s2")}
        assert not {"after", "stays"} & {*await queued(user, "s1")}
        assert (await queued(user, "s1"))[:2] == ["before-1", "before-2"]
        assert await moves(store) == [("s1", "s2", "banned")] * 2
