"""Messages and statuses: recorded once by their event's id, read by chat, by message and by command."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import insert_once, is_postgres, query, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import messages, statuses

_IDENTITY: Final = ("tenant", "message_id", "event_id")


class MessageRow(NamedTuple):
    """A row of ``messages``; times in milliseconds since 1970."""

    tenant: str
    message_id: str
    event_id: str
    recorded_at: int
    """When the event was made: decides the partition."""
    session: str
    chat: str
    kind: str
    """The event's type: message, reaction, edit, delete, pin, poll_vote or media."""
    type: str
    """The content's type; empty where there is none."""
    origin: str
    from_self: bool
    sender_pn: str | None
    sender_lid: str | None
    sender_name: str | None
    command_id: str | None
    target_id: str | None
    """The message that a reaction, edit, deletion or vote is about."""
    body: str | None
    """Its text or caption, for search."""
    content: str
    """The event's data as JSON."""
    sent_at: int


class StatusRow(NamedTuple):
    """A row of ``statuses``."""

    tenant: str
    message_id: str
    """Empty while a command has none."""
    event_id: str
    recorded_at: int
    session: str
    command_id: str | None
    status: str
    rank: int
    error: str | None
    """Catalogue code."""
    person: str | None
    """In a group, whose receipt it is: ``lid:…`` or ``pn:…``."""
    at: int | None
    """WhatsApp's time of a receipt."""


class Position(NamedTuple):
    """Where a page of a chat ended."""

    sent_at: int
    event_id: str


def record_messages(conn: Connection, rows: Iterable[MessageRow]) -> list[MessageRow]:
    """Adds what is not there yet, and gives it. An event id occurs once in ``rows``."""
    # In the order of their recording, by which search shows them; and in one order everywhere, so that replicas wait
    # for, never on, one another.
    ordered = sorted(rows, key=lambda row: (row.recorded_at, row.event_id))
    new = insert_once(conn, messages, MessageRow._fields, ordered, _IDENTITY)
    return [row for row in ordered if row.event_id in new]


def _place(row: StatusRow) -> tuple[str, str, str]:
    return row.tenant, row.message_id, row.event_id


def record_statuses(conn: Connection, rows: Iterable[StatusRow]) -> int:
    """Adds what is not there yet; how many. An event id occurs once in ``rows``."""
    ordered: list[StatusRow] = sorted(rows, key=_place)
    return len(insert_once(conn, statuses, StatusRow._fields, ordered, _IDENTITY))


def page(  # noqa: PLR0917 - called through Store.read, by position
    conn: Connection,
    tenant: str,
    chats: Sequence[str],
    session: str | None,
    after: Position | None,
    limit: int,
) -> list[MessageRow]:
    """The newest messages of the chats (keys of one person's), older than ``after``: at most ``limit``."""
    columns = ", ".join(MessageRow._fields)
    where, parameters = "tenant = ? AND chat = ? AND kind = 'message'", []
    if session is not None:
        where += " AND session = ?"
        parameters.append(session)
    if after is not None:
        where += " AND (sent_at, event_id) < (?, ?)"
        parameters += [after.sent_at, after.event_id]  # type: ignore[list-item]
    sql = f"SELECT {columns} FROM messages WHERE {where} ORDER BY sent_at DESC, event_id DESC LIMIT ?"
    found = [MessageRow(*row) for chat in chats for row in query(conn, sql, tenant, chat, *parameters, limit)]
    return sorted(found, key=lambda row: (row.sent_at, row.event_id), reverse=True)[:limit]


def oldest(conn: Connection, tenant: str, chat: str, session: str) -> MessageRow | None:
    """The first message of a chat that is known."""
    sql = (
        f"SELECT {', '.join(MessageRow._fields)} FROM messages "
        "WHERE tenant = ? AND chat = ? AND kind = 'message' AND session = ? ORDER BY sent_at, event_id LIMIT 1"
    )
    found = query(conn, sql, tenant, chat, session)
    return MessageRow(*found[0]) if found else None


def about(conn: Connection, tenant: str, message_ids: Sequence[str]) -> list[MessageRow]:
    """What names these messages as its target, oldest first."""
    return _of_messages(conn, "target_id", tenant, message_ids)


def by_ids(conn: Connection, tenant: str, message_ids: Sequence[str]) -> list[MessageRow]:
    """The messages of these ids; several may have one (WhatsApp's ids are unique within a chat and sender)."""
    return _of_messages(conn, "message_id", tenant, message_ids)


def _of_messages(conn: Connection, column: str, tenant: str, message_ids: Sequence[str]) -> list[MessageRow]:
    if not message_ids:
        return []
    postgres = is_postgres(conn)
    columns = ", ".join("m." + name for name in MessageRow._fields)
    sql = (
        f"SELECT {columns} FROM {rows_source(postgres, messages, ('tenant', column))} JOIN messages m "
        f"ON m.tenant = batch.tenant AND m.{column} = batch.{column} WHERE m.{column} IS NOT NULL "
        "ORDER BY m.sent_at, m.event_id"
    )
    keys = [(tenant, message_id) for message_id in dict.fromkeys(message_ids)]
    return [MessageRow(*row) for row in conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall()]


def statuses_of(conn: Connection, tenant: str, message_ids: Sequence[str]) -> dict[str, StatusRow]:
    """The furthest status of each message that has one."""
    if not message_ids:
        return {}
    postgres = is_postgres(conn)
    columns = ", ".join("s." + name for name in StatusRow._fields)
    sql = (
        f"SELECT {columns} FROM {rows_source(postgres, statuses, ('tenant', 'message_id'))} JOIN statuses s "
        "ON s.tenant = batch.tenant AND s.message_id = batch.message_id ORDER BY s.rank, s.recorded_at, s.event_id"
    )
    keys = [(tenant, message_id) for message_id in dict.fromkeys(message_ids)]
    rows = conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall()
    return {row[1]: StatusRow(*row) for row in rows}


def command_history(
    conn: Connection, tenant: str, command_id: str, session: str | None = None
) -> list[StatusRow]:
    """Every status told of a command, in the order of the telling."""
    sql = f"SELECT {', '.join(StatusRow._fields)} FROM statuses WHERE tenant = ? AND command_id = ?"
    parameters = [tenant, command_id]
    if session is not None:
        sql += " AND session = ?"
        parameters.append(session)
    rows = query(conn, sql + " ORDER BY recorded_at, rank, event_id LIMIT 500", *parameters)
    return [StatusRow(*row) for row in rows]


def message_history(
    conn: Connection, tenant: str, message_id: str, session: str | None = None
) -> list[StatusRow]:
    """Every status told of a message, in the order of the telling."""
    sql = f"SELECT {', '.join(StatusRow._fields)} FROM statuses WHERE tenant = ? AND message_id = ?"
    parameters = [tenant, message_id]
    if session is not None:
        sql += " AND session = ?"
        parameters.append(session)
    rows = query(conn, sql + " ORDER BY recorded_at, rank, event_id LIMIT 500", *parameters)
    return [StatusRow(*row) for row in rows]
