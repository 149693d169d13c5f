"""A tenant that leaves: every row of every table, in steps that may stop and begin again anywhere."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, Table

from pywhatsweb_fleet.storage.schema import metadata
from pywhatsweb_fleet.storage.statements import is_postgres, query
from pywhatsweb_fleet.storage.tables import data_keys

PLATFORM: Final = "-"
"""Stands for a tenant in records of the platform's own: no tenant can have the name."""


def tables() -> list[Table]:
    """All that have a tenant. The keys come first: without them what is sealed cannot be read any more."""
    found = [table for table in metadata.sorted_tables if "tenant" in table.c]
    return sorted(found, key=lambda table: (table is not data_keys, table.name))


def erase_some(conn: Connection, table: str, tenant: str, limit: int = 2000) -> int:
    """Deletes at most ``limit`` rows of the tenant's; how many (less than ``limit``: there is none left)."""
    if tenant == PLATFORM:
        raise ValueError("the platform's own records are not a tenant's")
    key = ", ".join(column.name for column in metadata.tables[table].primary_key)
    mark = "%s" if is_postgres(conn) else "?"
    sql = (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE tenant = {mark} LIMIT {mark})"
    )
    if is_postgres(conn):
        # The planner would look a row up by its partition again and again.
        sql += f" AND tenant = {mark}"
        return conn.exec_driver_sql(sql, (tenant, limit, tenant)).rowcount
    return conn.exec_driver_sql(sql, (tenant, limit)).rowcount


def remains(conn: Connection, tenant: str) -> list[str]:
    """The tables that still have a row of the tenant's."""
    return [
        table.name
        for table in tables()
        if query(conn, f"SELECT 1 FROM {table.name} WHERE tenant = ? LIMIT 1", tenant)
    ]


class Left(NamedTuple):
    """That a tenant was erased: who asked for it, why, when (milliseconds since 1970), and the receipt (JSON)."""

    erasure_id: str
    tenant: str
    actor: str
    reason: str
    receipt: str
    at: int


def keep_receipt(conn: Connection, left: Left) -> None:
    """Puts it on the platform's record; again without a trace."""
    mark = "%s" if is_postgres(conn) else "?"
    conn.exec_driver_sql(
        "INSERT INTO erasures (tenant, erasure_id, subject, actor, reason, receipt, at) "
        f"VALUES ({', '.join([mark] * 7)}) ON CONFLICT (tenant, erasure_id) DO NOTHING",
        (
            PLATFORM,
            left.erasure_id,
            f"tenant:{left.tenant}",
            left.actor,
            left.reason,
            left.receipt,
            left.at,
        ),
    )


def receipt(conn: Connection, erasure_id: str) -> str | None:
    rows = query(
        conn, "SELECT receipt FROM erasures WHERE tenant = ? AND erasure_id = ?", PLATFORM, erasure_id
    )
    return str(rows[0][0]) if rows else None
