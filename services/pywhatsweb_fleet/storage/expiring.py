"""Rows past their period, a tenant's and a kind's at a time, in small batches."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table

from pywhatsweb_fleet.storage.statements import is_postgres, query
from pywhatsweb_fleet.storage.tables import idempotency, messages, session_events, statuses

KINDS: Final[dict[str, tuple[Table, str, str]]] = {
    "messages": (messages, "recorded_at", ""),
    "statuses": (statuses, "recorded_at", ""),
    "session_events": (session_events, "recorded_at", ""),
    # One that still waits for its time has to be known when it comes.
    "idempotency": (idempotency, "changed_at", " AND status NOT IN ('accepted', 'queued')"),
}
"""Table, the column of its time, and what else has to hold."""


def expire(conn: Connection, kind: str, tenant: str, before: int, limit: int) -> int:
    """Deletes at most ``limit`` rows of a kind older than the time; how many."""
    table, column, also = KINDS[kind]
    key = ", ".join(name.name for name in table.primary_key)
    inner = f"SELECT {key} FROM {table.name} WHERE tenant = ? AND {column} < ?{also} LIMIT ?"
    sql = f"DELETE FROM {table.name} WHERE tenant = ? AND {column} < ? AND ({key}) IN ({inner})"
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return conn.exec_driver_sql(sql, (tenant, before, tenant, before, limit)).rowcount


def old_media(conn: Connection, tenant: str, before: int, limit: int) -> list[str]:
    """Media ids of references made before the time."""
    sql = "SELECT media_id FROM media_refs WHERE tenant = ? AND created_at < ? ORDER BY created_at LIMIT ?"
    return [row[0] for row in query(conn, sql, tenant, before, limit)]
