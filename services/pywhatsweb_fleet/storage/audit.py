"""The audit trail: append-only, each entry's hash over the one before it, so that a change or a gap shows."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import is_postgres, query

_LOCK = 0x70770001


class Entry(NamedTuple):
    """Who did what, when (milliseconds since 1970), why and from where. ``detail`` is JSON without personal data."""

    tenant: str
    at: int
    actor: str
    action: str
    target: str | None = None
    reason: str | None = None
    address: str | None = None
    correlation_id: str | None = None
    detail: str = "{}"


class Recorded(NamedTuple):
    """An entry in its place."""

    sequence: int
    entry: Entry
    hash: str


def append(conn: Connection, entry: Entry) -> Recorded:
    """Adds an entry at the end of the tenant's chain."""
    if is_postgres(conn):
        # Two entries may not follow the same one; SQLite has one writer anyway.
        query(conn, "SELECT pg_advisory_xact_lock(?, hashtext(?))", _LOCK, entry.tenant)
    last = query(
        conn, "SELECT sequence, hash FROM audit WHERE tenant = ? ORDER BY sequence DESC LIMIT 1", entry.tenant
    )
    sequence, before = (last[0][0] + 1, last[0][1]) if last else (1, "")
    chained = _hash(before, sequence, entry)
    names = ", ".join((*Entry._fields, "sequence", "hash"))
    mark = "%s" if is_postgres(conn) else "?"
    conn.exec_driver_sql(
        f"INSERT INTO audit ({names}) VALUES ({', '.join([mark] * (len(entry) + 2))})",
        (*entry, sequence, chained),
    )
    return Recorded(sequence, entry, chained)


def page(
    conn: Connection,
    tenant: str,
    *,
    action: str | None = None,
    actor: str | None = None,
    since: int | None = None,
    until: int | None = None,
    below: int | None = None,
    limit: int = 50,
) -> list[Recorded]:
    """Entries, newest first, with a sequence less than ``below``; ``since`` is included, ``until`` is not."""
    where, parameters = "tenant = ?", [tenant]
    for condition, value in (
        ("action = ?", action),
        ("actor = ?", actor),
        ("at >= ?", since),
        ("at < ?", until),
        ("sequence < ?", below),
    ):
        if value is not None:
            where += " AND " + condition
            parameters.append(value)  # type: ignore[arg-type]
    columns = ", ".join(("sequence", "hash", *Entry._fields))
    rows = query(
        conn, f"SELECT {columns} FROM audit WHERE {where} ORDER BY sequence DESC LIMIT ?", *parameters, limit
    )
    return [Recorded(row[0], Entry(*row[2:]), row[1]) for row in rows]


def first_flaw(conn: Connection, tenant: str) -> int | None:
    """The sequence at which the chain does not hold; None when it holds to its end."""
    columns = ", ".join(("sequence", "hash", *Entry._fields))
    before, expected = "", 1
    for row in query(conn, f"SELECT {columns} FROM audit WHERE tenant = ? ORDER BY sequence", tenant):
        if row[0] != expected or row[1] != _hash(before, row[0], Entry(*row[2:])):
            return expected
        before, expected = row[1], expected + 1
    return None


def _hash(before: str, sequence: int, entry: Entry) -> str:
    return hashlib.sha256(msgspec.json.encode([before, sequence, *entry])).hexdigest()
