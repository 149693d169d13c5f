"""What people agreed to, by purpose: the last word of each; a row is found under any of the person's keys."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.consent_tables import consents
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query, rows_parameters, rows_source


class Place(NamedTuple):
    """Of a row in a list."""

    purpose: str
    chat: str


class ConsentRow(NamedTuple):
    """Times in milliseconds since 1970."""

    tenant: str
    purpose: str
    chat: str
    pn: str | None
    lid: str | None
    at: int
    source: str
    text: str | None
    recorded_by: str | None
    withdrawn_at: int | None = None
    withdrawn_by: str | None = None


_ROW = ConsentRow._fields


def put(conn: Connection, row: ConsentRow) -> None:
    changes = ", ".join(f"{name} = excluded.{name}" for name in _ROW[3:])
    insert_rows(conn, consents, _ROW, [row], f"(tenant, purpose, chat) DO UPDATE SET {changes}")


def withdraw(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection, tenant: str, keys: Collection[str], purpose: str, at: int, by: str | None
) -> bool:
    """Whether there was one that stood."""
    marks = ", ".join("?" * len(keys))
    sql = (
        f"UPDATE consents SET withdrawn_at = ?, withdrawn_by = ? WHERE tenant = ? AND purpose = ? "
        f"AND chat IN ({marks}) AND withdrawn_at IS NULL RETURNING chat"
    )
    return bool(query(conn, sql, at, by, tenant, purpose, *keys))


def find(conn: Connection, tenant: str, keys: Collection[str]) -> list[ConsentRow]:
    """Of every purpose, by purpose."""
    marks = ", ".join("?" * len(keys))
    sql = f"SELECT {', '.join(_ROW)} FROM consents WHERE tenant = ? AND chat IN ({marks}) ORDER BY purpose, chat"
    return [ConsentRow(*row) for row in query(conn, sql, tenant, *keys)] if keys else []


def standing(conn: Connection, tenant: str, purpose: str, keys: Collection[str]) -> dict[str, int]:
    """When those of the keys agreed whose consent to the purpose was not withdrawn."""
    if not keys:
        return {}
    source = rows_source(is_postgres(conn), consents, ("tenant", "purpose", "chat"))
    sql = (
        f"SELECT c.chat, c.at FROM {source} JOIN consents c ON c.tenant = batch.tenant "
        "AND c.purpose = batch.purpose AND c.chat = batch.chat WHERE c.withdrawn_at IS NULL"
    )
    rows = [(tenant, purpose, key) for key in sorted(keys)]
    return {row[0]: int(row[1]) for row in conn.exec_driver_sql(sql, rows_parameters(rows)).fetchall()}


def page(conn: Connection, tenant: str, purpose: str | None, after: Place, limit: int) -> list[ConsentRow]:
    """By purpose and key, from behind `after` on; only those of a purpose, if one is given."""
    sql = f"SELECT {', '.join(_ROW)} FROM consents WHERE tenant = ? AND (purpose, chat) > (?, ?)"
    parameters: list[object] = [tenant, *after]
    if purpose is not None:
        sql += " AND purpose = ?"
        parameters.append(purpose)
    return [
        ConsentRow(*row) for row in query(conn, f"{sql} ORDER BY purpose, chat LIMIT ?", *parameters, limit)
    ]
