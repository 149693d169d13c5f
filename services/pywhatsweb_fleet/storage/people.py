"""Contacts, and which LID and phone number are one person.

Sightings come in any order, from several replicas, and again. Every row is therefore a register whose greatest value
wins, so that any order gives the same rows: a LID has the number it was last seen with, an address the name it was last
seen with. A person is put together when read: the row of the LID, and that of the number it maps to. Nothing is
guessed: only a sighting that named both makes them one.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import contacts, identities


class Sighting(NamedTuple):
    """Somebody was seen at a time, under one or both addresses, with or without a name."""

    tenant: str
    pn: str | None
    lid: str | None
    name: str | None
    at: int


class Known(NamedTuple):
    """A person as far as known; ``named_at`` 0: the name is not."""

    pn: str | None
    lid: str | None
    name: str | None
    named_at: int
    address: str
    """Where a list goes on after this one."""


def address(pn: str | None, lid: str | None) -> str | None:
    """``lid:…`` when there is a LID (it stays when the number changes), else ``pn:…``."""
    if lid:
        return "lid:" + lid
    return "pn:" + pn if pn else None


def observe(conn: Connection, sightings: Iterable[Sighting]) -> None:
    """Takes note of people; commutative, associative and idempotent."""
    pairs: dict[tuple[str, str], tuple[int, str]] = {}
    names: dict[tuple[str, str], tuple[int, str]] = {}
    where: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    for tenant, pn, lid, name, at in sightings:
        who = address(pn, lid)
        if who is None:
            continue
        key = (tenant, who)
        where[key] = (None if lid else pn, lid)
        seen = (at, name) if name else (0, "")
        names[key] = max(names.get(key, seen), seen)
        if pn and lid:
            pairs[tenant, lid] = max(pairs.get((tenant, lid), (at, pn)), (at, pn))
    insert_rows(
        conn, identities, ("tenant", "lid", "pn", "learned_at"),
        [(tenant, lid, pn, at) for (tenant, lid), (at, pn) in sorted(pairs.items())],
        "(tenant, lid) DO UPDATE SET pn = excluded.pn, learned_at = excluded.learned_at "
        "WHERE (excluded.learned_at, excluded.pn) > (identities.learned_at, identities.pn)",
    )  # fmt: skip
    insert_rows(
        conn, contacts, ("tenant", "address", "pn", "lid", "name", "named_at"),
        [(*key, *where[key], name, at) for key, (at, name) in sorted(names.items())],
        "(tenant, address) DO UPDATE SET name = excluded.name, named_at = excluded.named_at "
        "WHERE (excluded.named_at, excluded.name) > (contacts.named_at, contacts.name)",
    )  # fmt: skip


def number_of(conn: Connection, tenant: str, lid: str) -> str | None:
    """The number that a LID was last seen with."""
    rows = query(conn, "SELECT pn FROM identities WHERE tenant = ? AND lid = ?", tenant, lid)
    return rows[0][0] if rows else None


def lid_of(conn: Connection, tenant: str, pn: str) -> str | None:
    """The LID that was last seen with a number."""
    sql = "SELECT lid FROM identities WHERE tenant = ? AND pn = ? ORDER BY learned_at DESC, lid DESC LIMIT 1"
    rows = query(conn, sql, tenant, pn)
    return rows[0][0] if rows else None


def get(conn: Connection, tenant: str, *, pn: str | None = None, lid: str | None = None) -> Known | None:
    """One person by either address, with what is known under both."""
    if lid is None and pn is not None:
        lid = lid_of(conn, tenant, pn)
    elif pn is None and lid is not None:
        pn = number_of(conn, tenant, lid)
    rows = {
        row[0]: row
        for who in (address(None, lid), address(pn, None))
        if who is not None
        for row in query(
            conn, "SELECT address, name, named_at FROM contacts WHERE tenant = ? AND address = ?", tenant, who
        )
    }
    if not rows:
        return None
    named_at, name = max((row[2], row[1]) for row in rows.values())
    return Known(pn, lid, name or None, named_at, address(pn, lid) or "")


_LIST = """
SELECT coalesce(c.pn, i.pn), c.lid, c.address,
       CASE WHEN p.address IS NULL OR (c.named_at, c.name) >= (p.named_at, p.name) THEN c.name ELSE p.name END,
       CASE WHEN p.address IS NULL OR (c.named_at, c.name) >= (p.named_at, p.name) THEN c.named_at ELSE p.named_at END
FROM contacts c
LEFT JOIN identities i ON i.tenant = c.tenant AND i.lid = c.lid
LEFT JOIN contacts p ON p.tenant = c.tenant AND p.address = 'pn:' || i.pn
WHERE c.tenant = ? AND c.address > ?
  AND NOT EXISTS (SELECT 1 FROM identities o WHERE o.tenant = c.tenant AND o.pn = c.pn)
ORDER BY c.address LIMIT ?
"""


def page(conn: Connection, tenant: str, after: str, limit: int) -> list[Known]:
    """People in the order of their addresses, each once, after the given one (empty: from the beginning)."""
    rows = query(conn, _LIST, tenant, after, limit)
    return [Known(pn, lid, name or None, named_at, who) for pn, lid, who, name, named_at in rows]


def names_of(conn: Connection, tenant: str, addresses: Sequence[str]) -> dict[str, str]:
    """The names under addresses, of those that have one."""
    if not addresses:
        return {}
    postgres = is_postgres(conn)
    sql = (
        f"SELECT c.address, c.name FROM {rows_source(postgres, contacts, ('tenant', 'address'))} JOIN contacts c "
        "ON c.tenant = batch.tenant AND c.address = batch.address WHERE c.name <> ''"
    )
    keys = [(tenant, who) for who in dict.fromkeys(addresses)]
    found = conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall()
    return {row[0]: row[1] for row in found}
