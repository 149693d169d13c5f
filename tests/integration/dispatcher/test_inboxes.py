"""Commands to an inbox: one of its sessions each, the same for a person and for an id, whoever asks or dies."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.storage import boards, people
from pywhatsweb_fleet.storage.boards import Activity
from pywhatsweb_fleet.storage.people import Sighting
from pywhatsweb_fleet.storage.store import Store
from tests.integration.dispatcher.test_commands import iso
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.inboxes import (
    INBOX,
    LID,
    ask,
    ended,
    heard,
    make,
    moves,
    person,
    queued,
    refused,
    send,
    stopped,
    tell,
)


async def test_a_person_keeps_their_session(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """New ones are spread evenly; every address of somebody leads to one session, after a restart too."""
    await record.transact(people.observe, [Sighting("acme", person(1), LID, None, 1)])
    async with dispatcher(nats_server.url, tmp_path):
        made = await make(numbers, by="ana")
        assert made["sessions"] == ["s1", "s2"]
        events = [await send(numbers, f"c{n}", person(n)) for n in range(1, 7)]
        first = {n: event["session_id"] for n, event in enumerate(events, 1)}
        assert Counter(first.values()) == {"s1": 3, "s2": 3}
        assert {event["data"]["inbox_id"] for event in events} == {INBOX}
        assert (await ask(numbers, "inbox.get", inbox_id=INBOX))["contacts"] == {"s1": 3, "s2": 3}
    async with dispatcher(nats_server.url, tmp_path):
        again = [await send(numbers, f"d{n}", person(n)) for n in range(1, 7)]
        assert {n: event["session_id"] for n, event in enumerate(again, 1)} == first
        other_names = [
            await send(numbers, "lid", f"lid:{LID}"),
            await send(numbers, "old-form", person(1).replace("+55119", "+5511", 1)),
        ]
        assert {event["session_id"] for event in other_names} == {first[1]}
        for session in ("s1", "s2"):
            for stored in await numbers.outbox(session):
                assert stored.headers["Pww-Inbox"] == INBOX
                name = stored.headers["Pww-Command-Id"]
                wanted = ids.whatsapp_message_id(numbers.tenant.key, SessionId(session), ids.CommandId(name))
                assert stored.headers["Pww-Message-Id"] == wanted
        found = await ask(numbers, "message.status", id="c1", session_id=INBOX)
        assert (found["session_id"], found["status"]["status"]) == (first[1], "accepted")


async def test_whoever_was_written_to_before_stays_there(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """The session that they were in touch with last, though it comes second in the list."""
    key = ids.chat_key(numbers.tenant.key, pn=person(1))
    rows = [
        Activity("acme", session, key, person(1), None, None, at, 0) for session, at in (("s1", 5), ("s2", 9))
    ]
    await record.transact(boards.record_activity, rows)
    async with dispatcher(nats_server.url, tmp_path):
        await make(numbers, spread="first_working")
        assert (await send(numbers, "known", person(1)))["session_id"] == "s2"
        assert (await send(numbers, "new", person(2)))["session_id"] == "s1"


async def test_what_an_inbox_does_not_take(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """Each by its code, and nothing of it is queued; other sessions go on."""
    async with dispatcher(nats_server.url, tmp_path):
        to = {"to": person(1)}
        assert (await refused(numbers, "none", text(to=person(1))))["code"] == "E_INBOX_NOT_FOUND"
        await make(numbers)
        group = text(to="120363000000000001@g.us")
        assert (await refused(numbers, "group", group))["code"] == "E_INBOX_COMMAND"
        for verb, more in (("edit", {"text": {"body": "x"}}), ("react", {"emoji": "x"})):
            error = await refused(numbers, verb, {**to, "message_id": "3EB0AA", **more}, verb)
            assert error["code"] == "E_INBOX_COMMAND"
        assert (await refused(numbers, "cancel", {"command_id": "nothing"}, "cancel"))[
            "code"
        ] == "E_COMMAND_NOT_FOUND"
        for body, code in (
            ({"inbox_id": "support", "sessions": ["s1"]}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": []}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": ["s1", "s1"]}, "E_INVALID_FIELD"),
            ({"inbox_id": INBOX, "sessions": ["s1", "s9"]}, "E_SESSION_NOT_FOUND"),
            ({"inbox_id": INBOX, "sessions": ["s1"], "failover": "always"}, "E_INVALID_FIELD"),
        ):
            assert (await numbers.ask("inbox.set", **body))["error"]["code"] == code, body
        await ask(numbers, "inbox.delete", inbox_id=INBOX)
        assert (await numbers.ask("inbox.get", inbox_id=INBOX))["error"]["code"] == "E_INBOX_NOT_FOUND"
        assert (await numbers.ask("inbox.delete", inbox_id=INBOX))["error"]["code"] == "E_INBOX_NOT_FOUND"
        assert (await ask(numbers, "inbox.list"))["inboxes"] == []
        assert await queued(numbers, "s1") == await queued(numbers, "s2") == []


async def test_nobody_may_take_somebody_new(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """Refused with when to come again; the same id is taken once a session may."""
    soon = time.time_ns() // 1_000_000 + 3_600_000
    for session in ("s1", "s2"):
        await tell(numbers, session, cold_until=soon)
    async with dispatcher(nats_server.url, tmp_path):
        await make(numbers)
        error = await refused(numbers, "held", text(to=person(1)))
        assert error["code"] == "E_WHATSAPP_REACHOUT_LIMITED"
        assert 0 < error["details"]["retry_after_ms"] <= 3_600_000
        for session in ("s1", "s2"):
            await tell(numbers, session, "SCAN_QR_CODE")
        tries = 0

        async def not_ready() -> bool:
            nonlocal tries
            tries += 1
            error = await refused(numbers, f"unready-{tries}", text(to=person(1)))
            return bool(error["code"] == "E_SESSION_NOT_READY" and error["details"]["retry_after_ms"] > 0)

        await wait_until(not_ready, 60, message="the dispatcher has heard that no session works")
        found = await ask(numbers, "message.status", id="held", session_id=INBOX)
        assert found["status"]["error"]["code"] == "E_WHATSAPP_REACHOUT_LIMITED"
        await tell(numbers, "s2", "RECONNECTING")

        async def taken() -> bool:
            await numbers.publish(text(id="held", to=person(1)), INBOX)
            return "accepted" in numbers.tenant.statuses("held")

        await wait_until(taken, 60, interval=0.2, message="it is taken under the same id")
        assert await queued(numbers, "s2") == ["held"]


async def test_a_scheduled_command_is_taken_back_where_it_was_given(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """A cancel finds the session by the id of what it cancels, in one batch with it and when the inbox is gone."""
    async with dispatcher(nats_server.url, tmp_path):
        await make(numbers)
        await send(numbers, "later", person(1), send_at=iso(3600))
        await numbers.publish({"id": "undo", "command_id": "later"}, INBOX, "cancel")
        await numbers.told("undo", "accepted", timeout=60)
        await numbers.told("later", "accepted", "cancelled", timeout=60)
        await send(numbers, "orphan", person(2), send_at=iso(3600))
        await ask(numbers, "inbox.delete", inbox_id=INBOX)
        await numbers.publish({"id": "undo-2", "command_id": "orphan"}, INBOX, "cancel")
        await numbers.told("orphan", "accepted", "cancelled", timeout=60)


async def test_a_banned_sessions_people_go_on_with_another(
    nats_server: NatsServer, tmp_path: Path, record: Store, numbers: User
) -> None:
    """One by one, as they are written to, and on record. What was queued stays queued, and so does who waits there."""
    async with dispatcher(nats_server.url, tmp_path):
        await make(numbers, spread="first_working")
        for n in (1, 2):
            assert (await send(numbers, f"before-{n}", person(n)))["session_id"] == "s1"
        await ended(record, "s1", "before-1")
        await tell(numbers, "s1", "BANNED", error="E_WHATSAPP_BANNED")
        await stopped(numbers, "s1")
        await heard(numbers, "s2", 100)
        assert (await send(numbers, "after", person(1)))["session_id"] == "s2"
        # A repeat finds where the first one went, though its recipient has moved.
        await numbers.publish(text(id="before-1", to=person(1)), INBOX)
        await numbers.told("before-1", "accepted", "sent", timeout=60)
        await numbers.publish(text(id="stays", to=person(2)), INBOX)
        (event,) = await numbers.told("stays", "rejected", timeout=60)
        assert (event["session_id"], event["data"]["error"]["code"]) == ("s1", "E_SESSION_STOPPED")
        await ended(record, "s1", "before-2")
        await numbers.publish(
            text(id="stays", to=person(2)), INBOX
        )  # rejected before: the same id may try again
        await numbers.told("stays", "rejected", "accepted", timeout=60)
        assert {"after", "stays"} <= {*await queued(numbers, "s2")}
        assert not {"after", "stays"} & {*await queued(numbers, "s1")}
        assert (await queued(numbers, "s1"))[:2] == ["before-1", "before-2"]
        assert await moves(record) == [("s1", "s2", "banned")] * 2
