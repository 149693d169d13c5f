"""Messages, statuses, chats, sessions, audit and partitions, on both databases."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text
from sqlalchemy import table as sql_table

from pywhatsweb_fleet.storage import audit, boards, conversation, partitions, sessions
from pywhatsweb_fleet.storage.boards import Activity, Card
from pywhatsweb_fleet.storage.conversation import MessageRow, Position, StatusRow
from pywhatsweb_fleet.storage.partitions import Month
from pywhatsweb_fleet.storage.sessions import GroupRow, HappeningRow, StateRow
from pywhatsweb_fleet.storage.store import Store

NOVEMBER = Month(2026, 11).begins


def a_message(n: int, **changed: Any) -> MessageRow:
    """Inbound text n of chat c1."""
    row = MessageRow(
        "acme", f"M{n}", f"e{n:04}", NOVEMBER + n, "s1", "c1", "message", "text", "inbound", False, "+551", None, "Ana",
        None, None, f"text {n}", "{}", 1000 + n,
    )  # fmt: skip
    return row._replace(**changed)


def a_status(event: str, status: str, rank: int, **changed: Any) -> StatusRow:
    """A status of M1, command c1."""
    row = StatusRow("acme", "M1", event, NOVEMBER, "s1", "c1", status, rank, None, None, None)
    return row._replace(**changed)


def how_many(conn: Connection, table: str) -> int:
    return int(conn.execute(select(func.count()).select_from(sql_table(table))).scalar_one())


async def test_an_event_is_recorded_once(store: Store) -> None:
    """Again in another batch, or told again at another time (in another month): still one row."""
    rows = [a_message(n) for n in range(50)]
    assert len(await store.transact(conversation.record_messages, rows)) == 50
    again = [*rows[25:], a_message(50), a_message(3, recorded_at=Month(2026, 12).begins)]
    assert len(await store.transact(conversation.record_messages, again)) == 1
    assert await store.read(how_many, "messages") == 51
    steps = [a_status("s1", "sent", 3), a_status("s2", "read", 5)]
    assert await store.transact(conversation.record_statuses, steps) == 2
    assert await store.transact(conversation.record_statuses, [a_status("s1", "sent", 3, recorded_at=1)]) == 0


async def test_a_chat_is_read_in_pages(store: Store) -> None:
    """Newest first, each once, across keys of one person; reactions are not among them; other tenants' neither."""
    rows = [a_message(n, chat="c1" if n % 3 else "c2", sent_at=1000 + n // 2) for n in range(40)]
    rows += [
        a_message(90, kind="reaction", target_id="M1"),
        a_message(91, tenant="other"),
        a_message(92, chat="c3"),
    ]
    await store.transact(conversation.record_messages, rows)
    seen: list[str] = []
    after: Position | None = None
    while batch := await store.read(conversation.page, "acme", ["c1", "c2"], None, after, 7):
        seen += [row.message_id for row in batch]
        after = Position(batch[-1].sent_at, batch[-1].event_id)
    assert seen == [f"M{n}" for n in reversed(range(40))]
    assert await store.read(conversation.page, "acme", ["c1"], "s2", None, 7) == []
    (reaction,) = await store.read(conversation.about, "acme", ["M1", "M2"])
    assert (reaction.kind, reaction.target_id) == ("reaction", "M1")
    assert await store.read(conversation.by_ids, "acme", ["M1"]) == [a_message(1, sent_at=1000)]


async def test_statuses_are_read_by_message_and_by_command(store: Store) -> None:
    """The furthest of a message, whatever order they came in; a command's whole way."""
    steps = [a_status("s3", "read", 5), a_status("s1", "queued", 1, message_id=""), a_status("s2", "sent", 3)]
    await store.transact(conversation.record_statuses, steps)
    assert (await store.read(conversation.statuses_of, "acme", ["M1", "M9"]))["M1"].status == "read"
    history = await store.read(conversation.command_history, "acme", "c1")
    assert [row.status for row in history] == ["queued", "sent", "read"]
    assert len(await store.read(conversation.message_history, "acme", "M1", "s1")) == 2
    assert await store.read(conversation.command_history, "other", "c1") == []


async def test_chats_keep_their_latest_times_and_cards(store: Store) -> None:
    """In any order; a card that moved earlier than the one on record changes nothing."""
    seen = [Activity("acme", "s1", f"c{n}", f"+55{n}", None, None, n, 0) for n in range(5)]
    late = [
        Activity("acme", "s1", "c1", None, "11", None, 0, 50),
        Activity("acme", "s1", "c1", None, None, None, 0, 40),
    ]
    await asyncio.gather(
        store.transact(boards.record_activity, seen), store.transact(boards.record_activity, late)
    )
    card = Card("acme", "s1", "c1", None, None, None, "active", "ana", "bia", 60)
    await store.transact(boards.record_cards, [card._replace(status="done", owner_id=None, at=70), card])
    await store.transact(boards.record_cards, [card._replace(at=65, owner_id="old")])
    rows = await store.read(boards.page, "acme")
    assert [(row.chat, row.last_at) for row in rows] == [
        ("c1", 50),
        ("c4", 4),
        ("c3", 3),
        ("c2", 2),
        ("c0", 0),
    ]
    assert (rows[0].pn, rows[0].lid, rows[0].last_inbound_at) == ("+551", "11", 1)
    assert (rows[0].status, rows[0].owner_id, rows[0].assigned_by, rows[0].completed_at) == (
        "done",
        None,
        "bia",
        70,
    )
    first = await store.read(boards.page, "acme", limit=2)
    after = boards.Position(first[-1].last_at, first[-1].chat, first[-1].session)
    assert [row.chat for row in await store.read(boards.page, "acme", after=after)] == ["c3", "c2", "c0"]
    assert [row.chat for row in await store.read(boards.page, "acme", status="done")] == ["c1"]
    assert len(await store.read(boards.page, "acme", status="new")) == 4
    assert await store.read(boards.page, "other") == []


async def test_unread_counts_since_the_last_answer(store: Store) -> None:
    """Inbound messages after a time."""
    await store.transact(conversation.record_messages, [a_message(n) for n in range(10)])
    await store.transact(conversation.record_messages, [a_message(10, origin="outbound")])
    said = [
        Activity("acme", "s1", "c1", None, None, None, 1009, 1006),
        Activity("acme", "s1", "c2", None, None, None, 5, 9),
    ]
    await store.transact(boards.record_activity, said)
    rows = await store.read(boards.page, "acme")
    assert await store.read(boards.unread, "acme", rows) == {("s1", "c1"): 3}


async def test_a_session_is_as_it_last_told(store: Store) -> None:
    """By epoch and sequence, not by arrival; what a later state leaves out is kept."""
    new = StateRow("acme", "s1", "WORKING", "baileys", "+551", "11", "Ana", None, None, 9, 2, 100)
    old = new._replace(status="STARTING", epoch=8, sequence=70)
    await store.transact(sessions.record_states, [new])
    await store.transact(sessions.record_states, [old])
    later = new._replace(status="STOPPED", phone_number=None, lid=None, name=None, sequence=3)
    await store.transact(sessions.record_states, [later, new])
    assert await store.read(sessions.states, "acme") == [new._replace(status="STOPPED", sequence=3)]
    happening = HappeningRow("acme", "e1", "s1", "session", 9, 2, "{}", 100)
    assert await store.transact(sessions.record_happenings, [happening]) == 1
    assert await store.transact(sessions.record_happenings, [happening]) == 0
    group = GroupRow("acme", "1203", "Family", 5)
    await store.transact(sessions.record_groups, [group._replace(subject=None, changed_at=6), group])
    await store.transact(sessions.record_groups, [group._replace(subject="Old", changed_at=4)])
    assert await store.read(sessions.group_names, "acme", ["1203", "x"]) == {"1203": "Family"}


async def test_the_audit_trail_shows_tampering(store: Store) -> None:
    """Entries written at once form one chain; a changed or missing one breaks it where it is."""
    entry = audit.Entry("acme", 1, "ana", "session.start")
    await asyncio.gather(*(store.transact(audit.append, entry._replace(at=at)) for at in range(20)))
    assert await store.read(audit.first_flaw, "acme") is None
    newest = await store.read(audit.page, "acme", limit=5)
    assert [found.sequence for found in newest] == [20, 19, 18, 17, 16]
    assert [found.sequence for found in await store.read(audit.page, "acme", below=3)] == [2, 1]
    assert await store.read(audit.page, "acme", actor="bia") == []
    await store.transact(lambda conn: conn.execute(text("UPDATE audit SET actor = 'eve' WHERE sequence = 7")))
    assert await store.read(audit.first_flaw, "acme") == 7
    await store.transact(lambda conn: conn.execute(text("DELETE FROM audit WHERE sequence = 4")))
    assert await store.read(audit.first_flaw, "acme") == 4


async def test_retention_forgets_by_month_and_by_tenant(store: Store) -> None:
    """Whole months go for all; within a month a tenant's own limit counts."""
    await store.transact(partitions.make_ahead, Month(2026, 9).begins)
    await store.transact(partitions.make_ahead, Month(2026, 11).begins)
    for month in (9, 10, 11):
        at = Month(2026, month).begins
        rows = [a_message(month, recorded_at=at + 5), a_message(month, recorded_at=at + 5, tenant="other")]
        await store.transact(conversation.record_messages, rows)
    removed = await store.transact(partitions.drop_before, Month(2026, 10).begins + 99)
    assert removed == 2
    assert await store.read(how_many, "messages") == 4
    assert await store.transact(partitions.forget, "acme", Month(2026, 11).begins + 6) == 2
    assert await store.read(how_many, "messages") == 2
    assert await store.transact(partitions.forget, "acme", Month(2026, 11).begins + 6) == 0


async def test_partitions_made_late_take_their_rows(store: Store) -> None:
    """Rows that fell into the default partition move; making twice, or by two services at once, makes one."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite has no partitions")
    await store.transact(conversation.record_messages, [a_message(n) for n in range(10)])
    assert await store.read(how_many, "messages_default") == 10
    made = await asyncio.gather(*(store.transact(partitions.make_ahead, NOVEMBER, 1) for _ in range(3)))
    assert sorted(map(len, made)) == [0, 0, 4]
    assert await store.read(how_many, "messages_default") == 0
    assert await store.read(how_many, "messages_2026_11") == 10
    assert await store.transact(conversation.record_messages, [a_message(3), a_message(11)]) == [
        a_message(11)
    ]


@pytest.mark.parametrize(
    ("start", "months", "expected"), [((2026, 11), 2, (2027, 1)), ((2026, 1), -1, (2025, 12))]
)
def test_months_count_over_years(start: tuple[int, int], months: int, expected: tuple[int, int]) -> None:
    """Adding months carries into the year."""
    assert Month(*start).plus(months) == Month(*expected)
