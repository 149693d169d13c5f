"""Chats: who they are with, when something last happened in them, and their card on the Kanban board."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import (
    greatest,
    insert_rows,
    is_postgres,
    query,
    rows_parameters,
    rows_source,
)
from pywhatsweb_fleet.storage.tables import chats


class Activity(NamedTuple):
    """Something was said in a chat. Times in milliseconds since 1970; 0: never."""

    tenant: str
    session: str
    chat: str
    pn: str | None
    lid: str | None
    group_id: str | None
    inbound_at: int
    outbound_at: int


class Card(NamedTuple):
    """A chat's card was moved: ``status`` is a `KanbanStatus`."""

    tenant: str
    session: str
    chat: str
    pn: str | None
    lid: str | None
    group_id: str | None
    status: str
    owner_id: str | None
    by: str | None
    at: int
    inbox: str | None = None
    joined_to: str | None = None


class ChatRow(NamedTuple):
    """A chat as it is kept."""

    session: str
    chat: str
    pn: str | None
    lid: str | None
    group_id: str | None
    last_at: int
    last_inbound_at: int
    last_outbound_at: int
    status: str | None
    owner_id: str | None
    assigned_at: int
    assigned_by: str | None
    completed_at: int
    completed_by: str | None
    inbox: str | None = None
    joined_to: str | None = None


class Position(NamedTuple):
    """Where a page of chats ended."""

    last_at: int
    chat: str
    session: str


_WHO = ("tenant", "session", "chat", "pn", "lid", "group_id")
_KEEP_WHO = (
    "pn = coalesce(excluded.pn, chats.pn), lid = coalesce(excluded.lid, chats.lid), "
    "group_id = coalesce(excluded.group_id, chats.group_id)"
)


def record_activity(conn: Connection, activities: Iterable[Activity]) -> None:
    """Notes the latest times; in any order, the same result."""
    merged: dict[tuple[str, str, str], Activity] = {}
    for one in activities:
        old = merged.get(one[:3])
        merged[one[:3]] = one if old is None else later(old, one)
    most = greatest(conn)
    insert_rows(
        conn, chats,
        (*_WHO, "last_at", "last_inbound_at", "last_outbound_at", "status_at", "assigned_at", "completed_at"),
        [
            (*one[:6], max(one.inbound_at, one.outbound_at), one.inbound_at, one.outbound_at, 0, 0, 0)
            for _, one in sorted(merged.items())
        ],
        f"(tenant, session, chat) DO UPDATE SET {_KEEP_WHO}, last_at = {most}(chats.last_at, excluded.last_at), "
        f"last_inbound_at = {most}(chats.last_inbound_at, excluded.last_inbound_at), "
        f"last_outbound_at = {most}(chats.last_outbound_at, excluded.last_outbound_at)",
    )  # fmt: skip


def later(old: Activity, new: Activity) -> Activity:
    """Both in one; of the same chat."""
    return Activity(
        *old[:3], new.pn or old.pn, new.lid or old.lid, new.group_id or old.group_id,
        max(old.inbound_at, new.inbound_at), max(old.outbound_at, new.outbound_at),
    )  # fmt: skip


# A tag or a note on an active card is told too, and is no assignment.
_ASSIGNED = (
    "excluded.assigned_at > 0 AND (chats.owner_id IS DISTINCT FROM excluded.owner_id "
    "OR chats.status IS DISTINCT FROM excluded.status)"
)


def record_cards(conn: Connection, cards: Iterable[Card]) -> None:
    """Notes moves of cards; an older move than the one on record changes nothing."""
    for card in sorted(cards, key=lambda card: (card[:3], card.at)):
        assigned = (card.at, card.by) if card.status == "active" else (0, None)
        completed = (card.at, card.by) if card.status == "done" else (0, None)
        insert_rows(
            conn, chats,
            (*_WHO, "status", "owner_id", "status_at", "assigned_at", "assigned_by", "completed_at", "completed_by",
             "last_at", "last_inbound_at", "last_outbound_at", "inbox", "joined_to"),
            [(*card[:6], card.status, card.owner_id, card.at, *assigned, *completed, 0, 0, 0,
              card.inbox, card.joined_to)],
            f"(tenant, session, chat) DO UPDATE SET {_KEEP_WHO}, status = excluded.status, "
            "owner_id = excluded.owner_id, status_at = excluded.status_at, "
            f"assigned_at = CASE WHEN {_ASSIGNED} THEN excluded.assigned_at ELSE chats.assigned_at END, "
            f"assigned_by = CASE WHEN {_ASSIGNED} THEN excluded.assigned_by ELSE chats.assigned_by END, "
            "completed_at = excluded.completed_at, completed_by = excluded.completed_by, "
            "inbox = excluded.inbox, joined_to = excluded.joined_to "
            "WHERE excluded.status_at >= chats.status_at",
        )  # fmt: skip


def follow_joined(conn: Connection, changed: Iterable[tuple[str, str, str]]) -> None:
    """Brings what was said in chats that joined another session's card to that one; they are named by tenant, session
    and chat."""
    if not query(conn, "SELECT 1 FROM chats WHERE joined_to IS NOT NULL LIMIT 1"):
        return
    most = greatest(conn)
    times = ("last_at", "last_inbound_at", "last_outbound_at")
    source = rows_source(is_postgres(conn), chats, ("tenant", "session", "chat"))
    sql = (
        f"UPDATE chats SET {', '.join(f'{name} = {most}(chats.{name}, n.{name})' for name in times)} "
        f"FROM (SELECT j.tenant, j.chat, j.joined_to, {', '.join(f'max(j.{name}) AS {name}' for name in times)} "
        f"FROM {source} JOIN chats j ON j.tenant = batch.tenant AND j.session = batch.session "
        "AND j.chat = batch.chat AND j.joined_to IS NOT NULL GROUP BY j.tenant, j.chat, j.joined_to) AS n "
        "WHERE chats.tenant = n.tenant AND chats.chat = n.chat AND chats.session = n.joined_to"
    )
    conn.exec_driver_sql(sql, rows_parameters(sorted(set(changed))))


_COLUMNS = ", ".join(ChatRow._fields)


def page(
    conn: Connection,
    tenant: str,
    *,
    status: str | None = None,
    owner_id: str | None = None,
    session: str | None = None,
    after: Position | None = None,
    limit: int = 50,
) -> list[ChatRow]:
    """Chats, the latest first. A chat without a card counts as ``new``; one that joined another's card is left out."""
    where, parameters = "tenant = ? AND joined_to IS NULL", [tenant]
    for condition, value in (
        ("coalesce(status, 'new') = ?", status),
        ("owner_id = ?", owner_id),
        ("session = ?", session),
    ):
        if value is not None:
            where += " AND " + condition
            parameters.append(value)
    if after is not None:
        where += " AND (last_at, chat, session) < (?, ?, ?)"
        parameters += [after.last_at, after.chat, after.session]  # type: ignore[list-item]
    sql = f"SELECT {_COLUMNS} FROM chats WHERE {where} ORDER BY last_at DESC, chat DESC, session DESC LIMIT ?"
    return [ChatRow(*row) for row in query(conn, sql, *parameters, limit)]


def by_key(conn: Connection, tenant: str, chat: str) -> list[ChatRow]:
    """The chat of a key, in each session that has it."""
    sql = f"SELECT {_COLUMNS} FROM chats WHERE tenant = ? AND chat = ? ORDER BY last_at DESC"
    return [ChatRow(*row) for row in query(conn, sql, tenant, chat)]


def unread(conn: Connection, tenant: str, rows: Sequence[ChatRow]) -> dict[tuple[str, str], int]:
    """How many messages from the other side came after our last one, up to 100, by session and chat; those of chats
    that joined one included."""
    waiting = [row for row in rows if row.last_inbound_at > row.last_outbound_at]
    if not waiting:
        return {}
    source = rows_source(is_postgres(conn), chats, ("tenant", "session", "chat", "last_outbound_at"))
    sql = (
        "SELECT batch.session, batch.chat, (SELECT count(*) FROM (SELECT 1 FROM messages m "
        "WHERE m.tenant = batch.tenant AND m.chat = batch.chat AND m.sent_at > batch.last_outbound_at "
        "AND m.session = batch.session AND m.kind = 'message' AND m.origin = 'inbound' LIMIT 100) AS seen) "
        f"FROM {source}"
    )
    homes = {(row.session, row.chat): row for row in waiting}
    homes |= _joined(conn, tenant, [row for row in waiting if row.inbox is not None])
    keys = [(tenant, session, chat, row.last_outbound_at) for (session, chat), row in homes.items()]
    counts: dict[tuple[str, str], int] = {}
    for session, chat, count in conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall():
        home = (homes[session, chat].session, chat)
        counts[home] = min(100, counts.get(home, 0) + count)
    return counts


def _joined(conn: Connection, tenant: str, rows: Sequence[ChatRow]) -> dict[tuple[str, str], ChatRow]:
    """The chats that joined these, by session and chat."""
    if not rows:
        return {}
    homes = {(row.session, row.chat): row for row in rows}
    source = rows_source(is_postgres(conn), chats, ("tenant", "chat"))
    sql = (
        f"SELECT j.session, j.chat, j.joined_to FROM {source} JOIN chats j ON j.tenant = batch.tenant "
        "AND j.chat = batch.chat AND j.joined_to IS NOT NULL"
    )
    found = conn.exec_driver_sql(sql, rows_parameters([(tenant, row.chat) for row in rows])).fetchall()
    return {(session, chat): homes[to, chat] for session, chat, to in found if (to, chat) in homes}
