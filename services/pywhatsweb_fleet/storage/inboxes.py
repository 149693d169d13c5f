"""The inboxes' settings, and how many people each of their sessions has."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import is_postgres, query

_to_json = msgspec.json.Encoder().encode
_names = msgspec.json.Decoder(list[str]).decode


class InboxRow(NamedTuple):
    tenant: str
    inbox: str
    sessions: tuple[str, ...]
    spread: Literal["least_contacts", "first_working"]
    failover: Literal["never", "banned", "stopped"]
    cooldown_s: int
    changed_at: int
    changed_by: str | None


_FIELDS = ", ".join(InboxRow._fields)


def _row(found: tuple[object, ...]) -> InboxRow:
    row = InboxRow(*found)  # type: ignore[arg-type]
    return row._replace(sessions=tuple(_names(row.sessions)))  # type: ignore[arg-type]


def put(conn: Connection, row: InboxRow) -> None:
    changes = ", ".join(f"{name} = excluded.{name}" for name in InboxRow._fields[2:])
    marks = ", ".join("?" * len(row))
    query(
        conn,
        f"INSERT INTO inboxes ({_FIELDS}) VALUES ({marks}) ON CONFLICT (tenant, inbox) DO UPDATE SET {changes} "
        "RETURNING inbox",
        *row._replace(sessions=_to_json(row.sessions).decode()),  # type: ignore[arg-type]
    )


def named(conn: Connection, tenant: str, names: Collection[str]) -> dict[str, InboxRow]:
    """Those of these names that there are."""
    marks = ", ".join("?" * len(names))
    sql = f"SELECT {_FIELDS} FROM inboxes WHERE tenant = ? AND inbox IN ({marks})"
    return {row[1]: _row(row) for row in query(conn, sql, tenant, *names)} if names else {}


def every(conn: Connection, tenant: str) -> list[InboxRow]:
    """By name."""
    sql = f"SELECT {_FIELDS} FROM inboxes WHERE tenant = ? ORDER BY inbox"
    return [_row(row) for row in query(conn, sql, tenant)]


def delete(conn: Connection, tenant: str, inbox: str) -> bool:
    """With who belongs to which session; whether there was one. Where commands went is remembered."""
    mark = "%s" if is_postgres(conn) else "?"
    gone = [
        conn.exec_driver_sql(
            f"DELETE FROM {table} WHERE tenant = {mark} AND inbox = {mark}", (tenant, inbox)
        ).rowcount
        for table in ("inboxes", "inbox_contacts")
    ]
    return gone[0] > 0


def people(conn: Connection, tenant: str, inbox: str) -> dict[str, int]:
    """How many people each session has."""
    sql = (
        "SELECT session, count(*) FROM inbox_contacts WHERE tenant = ? AND inbox = ? AND chat = person "
        "GROUP BY session"
    )
    return {row[0]: int(row[1]) for row in query(conn, sql, tenant, inbox)}


def placed(conn: Connection, tenant: str, inbox: str, command_id: str) -> str | None:
    """Which session a command was given to."""
    sql = "SELECT session FROM inbox_commands WHERE tenant = ? AND inbox = ? AND command_id = ?"
    rows = query(conn, sql, tenant, inbox, command_id)
    return rows[0][0] if rows else None


def expire(conn: Connection, before: int, limit: int = 1000) -> int:
    """Forgets at most ``limit`` commands that expired before the time; how many."""
    mark = "%s" if is_postgres(conn) else "?"
    sql = (
        "DELETE FROM inbox_commands WHERE (tenant, inbox, command_id) IN (SELECT tenant, inbox, command_id "
        f"FROM inbox_commands WHERE expires_at < {mark} ORDER BY expires_at LIMIT {mark})"
    )
    return conn.exec_driver_sql(sql, (before, limit)).rowcount
