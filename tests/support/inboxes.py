"""Helpers of tests of inboxes: two sessions that work behind one name, and what the record and the trail have."""

from __future__ import annotations

import itertools
import time
from typing import Any

import msgspec

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import audit, idempotency
from pywhatsweb_fleet.storage.idempotency import Outcome
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import registry
from tests.support.dispatching import User, text
from tests.support.waiting import wait_until

INBOX = "@support"
LID = "998877665544332"


def person(number: int) -> str:
    return f"+55119{number:08d}"


async def tell(user: User, session: str, status: str = "WORKING", **fields: Any) -> None:
    """A session's present state, as its owner tells it."""
    now = registry.NowRecord(status=status, since=time.time_ns() // 1_000_000, **fields)
    subject = subjects.now_ingest(user.tenant.name, SessionId(session))
    await user.tenant.bus.request(subject, registry.encode(now), headers={"Nats-Rollup": "sub"})


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
