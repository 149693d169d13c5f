"""Which of an inbox's sessions a command goes to, on both databases: replicas that choose at once agree."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from sqlalchemy import Connection

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.storage import idempotency, inbox_choices, inboxes, people, usage
from pywhatsweb_fleet.storage.idempotency import Claim, Outcome
from pywhatsweb_fleet.storage.inbox_terms import Chosen, Refused, Standing, Wanted
from pywhatsweb_fleet.storage.inboxes import InboxRow
from pywhatsweb_fleet.storage.people import Sighting
from pywhatsweb_fleet.storage.store import Store, open_store

KEY = TenantKey(bytes(32))
ANA, LID = "pn:+5511999990001", "lid:77"
DAY = 86_400_000
WORKS, AWAY = Standing(exists=True, works=True), Standing(exists=True)
BANNED = Standing(exists=True, banned=True)
PATIENCE_S = 60.0
QUOTA = {"quota": "session_new_contacts_per_day", "limit": 2, "retry_after_ms": DAY - 2000}


def an_inbox(*sessions: str, **fields: object) -> InboxRow:
    row = InboxRow("acme", "@in", sessions or ("s1", "s2"), "first_working", "banned", 600, 1, None)
    return row._replace(**fields)  # type: ignore[arg-type]


def a_wish(command_id: str, seq: int, address: str = ANA, *, at: int = 1000, target: str = "") -> Wanted:
    kind, _, name = address.partition(":")
    chat = "-" if target else ids.chat_key(KEY, **{kind: name})
    return Wanted("@in", command_id, seq, "" if target else address, chat, at, at + DAY, target)


async def choose(
    store: Store,
    *wanted: Wanted,
    standing: Mapping[str, Standing] | Callable[[str], Standing],
    inbox: InboxRow | None = None,
    now: int = 1000,
    new_contacts: int = 0,
) -> Chosen:
    ask = standing if callable(standing) else lambda name: standing.get(name, Standing(exists=False))
    row = inbox or an_inbox()
    return await store.transact(
        inbox_choices.choose, "acme", KEY, wanted, {row.inbox: row}, ask, {}, now, new_contacts
    )


async def claim(store: Store, session: str, command_id: str, seq: int, *ends: MessageStatus) -> None:
    """As the dispatcher does once it has the session, and what became of the command."""
    wish = Claim("acme", session, command_id, "d", seq, 1000, 1000 + DAY)
    await store.transact(idempotency.claim, [wish])
    steps = [Outcome("acme", session, command_id, status, 2000) for status in ends]
    await store.transact(idempotency.outcome, steps)


@pytest.fixture
async def other(store: Store, database_url: str) -> AsyncIterator[Store]:
    """Another replica's connections to the same database."""
    other = open_store(database_url)
    yield other
    await other.close()


async def test_two_replicas_agree_on_the_first_choice(store: Store, other: Store) -> None:
    """Both have looked and found nothing before either writes; one hears only of s1 that it works, the other of s2.
    A command that both have, and one that each has alone, all go to one session."""
    # SQLite lets the second in only when the first has written, so nobody is waited for there.
    both = threading.Barrier(2 if store.dialect == "postgresql" else 1)

    def sees(working: str) -> Callable[[str], Standing]:
        met: list[str] = []

        def standing(name: str) -> Standing:
            if not met:
                met.append(name)
                both.wait(PATIENCE_S)
            return WORKS if name == working else AWAY

        return standing

    for turn in range(5):
        person = f"pn:+551199999{turn:04d}"
        shared = a_wish(f"shared-{turn}", 10 * turn + 1, person)
        chosen = await asyncio.gather(
            choose(store, shared, a_wish(f"a-{turn}", 10 * turn + 2, person), standing=sees("s1")),
            choose(other, shared, a_wish(f"b-{turn}", 10 * turn + 3, person), standing=sees("s2")),
        )
        found = {where for one in chosen for where in one.where}
        assert len(found) == 1, chosen
        assert found <= {"s1", "s2"}
        later = await choose(
            store, a_wish(f"later-{turn}", 10 * turn + 4, person), standing={"s1": WORKS, "s2": WORKS}
        )
        assert set(later.where) == found
    counts = await store.read(inboxes.people, "acme", "@in")
    assert sum(counts.values()) == 5


async def test_whoever_turns_out_to_be_one_person_keeps_the_older_session(store: Store) -> None:
    """A number and a LID were two people; from when they are known to be one, the first choice counts for both."""
    first = await choose(store, a_wish("c1", 1), standing={"s1": AWAY, "s2": WORKS}, now=1000)
    second = await choose(store, a_wish("c2", 2, LID), standing={"s1": WORKS, "s2": WORKS}, now=2000)
    assert (first.where, second.where) == (["s2"], ["s1"])
    await store.transact(people.observe, [Sighting("acme", ANA[3:], LID[4:], None, 1)])
    both = await choose(
        store, a_wish("c3", 3), a_wish("c4", 4, LID), standing={"s1": WORKS, "s2": WORKS}, now=3000
    )
    assert both.where == ["s2", "s2"]
    assert await store.read(inboxes.people, "acme", "@in") == {"s2": 1}


async def test_an_id_finds_where_it_went(store: Store) -> None:
    """Whatever has become of the person and the inbox; after a rejection a later command of the id is new."""
    works = {"s1": WORKS, "s2": WORKS}
    await choose(store, a_wish("sent", 1), a_wish("rejected", 2), standing=works)
    await claim(store, "s1", "sent", 1, MessageStatus.SENT)
    await claim(store, "s1", "rejected", 2, MessageStatus.REJECTED)
    lost = {"s1": BANNED, "s2": WORKS}
    again = await choose(
        store, a_wish("sent", 9), a_wish("rejected", 2), a_wish("undo", 10, target="sent"), standing=lost
    )
    assert again.where == ["s1", "s1", "s1"]
    assert again.moves == []
    retried = await choose(store, a_wish("rejected", 11), standing=lost)
    assert retried.where == ["s2"]
    assert [(one.before, one.after, one.why) for one in retried.moves] == [("s1", "s2", "banned")]
    assert (await choose(store, a_wish("rejected", 12), standing=works)).where == ["s2"]
    unknown = await choose(store, a_wish("undo-2", 13, target="nothing"), standing=works)
    assert unknown.where == [Refused(ErrorCode.E_COMMAND_NOT_FOUND)]


LOST = (
    ("never", BANNED, MessageStatus.SENT, "s1"),
    ("banned", BANNED, MessageStatus.SENT, "s2"),
    ("banned", Standing(exists=True, away_ms=DAY), MessageStatus.SENT, "s1"),
    ("stopped", Standing(exists=True, away_ms=599_999), MessageStatus.SENT, "s1"),
    ("stopped", Standing(exists=True, away_ms=600_000), MessageStatus.SENT, "s2"),
    ("stopped", BANNED, MessageStatus.FAILED, "s2"),
    ("banned", BANNED, MessageStatus.ACCEPTED, "s1"),
    ("banned", BANNED, MessageStatus.QUEUED, "s1"),
    ("never", Standing(exists=False), MessageStatus.QUEUED, "s2"),
    ("never", Standing(exists=False), None, "s2"),
    ("banned", BANNED, None, "s1"),
    ("banned", Standing(exists=True, works=True, held_until=DAY), MessageStatus.SENT, "s1"),
)
"""How the inbox is set, how the first session is, what became of the command before (None: its dispatcher died before
it claimed it), and where the next one goes."""


async def test_when_somebody_goes_on_with_another_session(store: Store) -> None:
    """When theirs is lost for good, or for longer than the inbox bears, and nothing of theirs may still be queued."""
    works = {"s1": WORKS, "s2": WORKS}
    for n, (failover, first, status, goes_to) in enumerate(LOST):
        inbox, ana, bia = an_inbox(failover=failover), f"pn:+551199998{n:04d}", f"pn:+551199997{n:04d}"
        await choose(store, a_wish(f"first-{n}", 3 * n, ana), standing=works, inbox=inbox)
        if status is not None:
            await claim(store, "s1", f"first-{n}", 3 * n, status)
        lost = {"s1": first, "s2": WORKS}
        chosen = await choose(
            store, a_wish(f"next-{n}", 3 * n + 1, ana), standing=lost, inbox=inbox, now=2000
        )
        assert chosen.where == [goes_to], LOST[n]
        nobody = {"s1": first, "s2": AWAY}
        nowhere = await choose(store, a_wish(f"new-{n}", 3 * n + 2, bia), standing=nobody, inbox=inbox)
        assert isinstance(nowhere.where[0], Refused), LOST[n]


async def test_commands_are_forgotten_with_their_records(store: Store) -> None:
    """Not before; a command that expired and was not forgotten yet is chosen for anew, and kept from then on."""
    works = {"s1": WORKS, "s2": WORKS}
    await choose(store, a_wish("old", 1), a_wish("again", 2), standing=works)
    late = 1000 + DAY
    assert await store.transact(inboxes.expire, late) == 0
    await choose(store, a_wish("again", 3, at=late), standing=works, now=late)
    assert await store.transact(inboxes.expire, late + 1) == 1
    assert await store.read(inboxes.placed, "acme", "@in", "old") is None
    assert await store.read(inboxes.placed, "acme", "@in", "again") == "s1"


async def test_a_session_whose_day_is_used_up_gets_nobody_new(store: Store) -> None:
    """Those of one batch are counted on, what was claimed is counted, whom it knows it keeps, and somebody who was
    given to it and never written to goes on with one that may; where none may, the code says until when."""
    works = {"s1": WORKS, "s2": WORKS}
    wishes = [a_wish(f"c{n}", n, f"pn:+55119999900{n:02d}") for n in range(1, 5)]

    async def given(*wanted: Wanted, now: int = 2000) -> list[str | Refused]:
        return (await choose(store, *wanted, standing=works, now=now, new_contacts=2)).where

    first = await given(*wishes[:3])
    assert sorted(map(str, first)) == ["s1", "s1", "s2"]
    at_s1 = [wish for wish, session in zip(wishes, first, strict=False) if session == "s1"]
    (at_s2,) = (wish for wish, session in zip(wishes, first, strict=False) if session == "s2")

    def reached(conn: Connection, *pairs: tuple[str, str]) -> None:
        counts = usage.reach_from(conn, "acme", pairs, 2000)
        what = usage.SESSION_NEW_CONTACTS
        usage.add(
            conn, [usage.Amount("acme", 0, session, what, number) for session, number in counts.items()]
        )

    # One of the two was refused after all, and another was written to instead.
    await store.transact(reached, ("s1", at_s1[0].chat), ("s1", "another"), ("s2", at_s2.chat))
    await claim(store, "s1", at_s1[0].command_id, at_s1[0].seq, MessageStatus.SENT)
    await claim(store, "s1", at_s1[1].command_id, at_s1[1].seq, MessageStatus.REJECTED)
    again = [one._replace(command_id=f"{one.command_id}-again", seq=10 + one.seq) for one in (*at_s1, at_s2)]
    assert await given(*again) == ["s1", "s2", "s2"]
    await store.transact(reached, ("s2", at_s1[1].chat))
    assert await given(wishes[3]) == [Refused(ErrorCode.E_QUOTA_EXCEEDED, QUOTA)]
    assert await given(wishes[3], now=2000 + DAY) == ["s1"]
