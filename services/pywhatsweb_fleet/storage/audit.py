"""The audit trail: append-only, each entry's hash over the one before it, so that a change or a gap shows.

What a person wrote as a reason may name somebody, so the entry holds its salted digest and the words lie beside it
(`audit_words`): an erasure takes salt and words away, and the chain still holds.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import is_postgres, query

_LOCK = 0x70770001
_DIGEST: Final = "sha256:"
_AT_ONCE: Final = 2000


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
    """An entry in its place; its reason is None too when it was erased."""

    sequence: int
    entry: Entry
    hash: str


class Link(NamedTuple):
    """A place in the chain: the entry of this sequence has this hash. Before the first one: 0 and an empty hash."""

    sequence: int = 0
    hash: str = ""


def append(conn: Connection, entry: Entry) -> Recorded:
    """Adds an entry at the end of the tenant's chain."""
    if is_postgres(conn):
        # Two entries may not follow the same one; SQLite has one writer anyway.
        query(conn, "SELECT pg_advisory_xact_lock(?, hashtext(?))", _LOCK, entry.tenant)
    before = head(conn, entry.tenant)
    sequence = before.sequence + 1
    reason, kept = entry.reason, entry
    if reason:
        salt = secrets.token_hex(16)
        kept = entry._replace(reason=_digest(salt, reason))
        words = msgspec.json.encode([salt, reason]).decode()
        _insert(conn, "audit_words", ("tenant", "sequence", "reason"), (entry.tenant, sequence, words))
    chained = _hash(before.hash, sequence, kept)
    _insert(conn, "audit", (*Entry._fields, "sequence", "hash"), (*kept, sequence, chained))
    return Recorded(sequence, entry, chained)


def head(conn: Connection, tenant: str) -> Link:
    """The end of a tenant's chain."""
    last = query(
        conn, "SELECT sequence, hash FROM audit WHERE tenant = ? ORDER BY sequence DESC LIMIT 1", tenant
    )
    return Link(*last[0]) if last else (_base(conn, tenant) or Link())


def _insert(conn: Connection, table: str, columns: tuple[str, ...], values: tuple[object, ...]) -> None:
    mark = "%s" if is_postgres(conn) else "?"
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
    conn.exec_driver_sql(sql, values)


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
    where, parameters = "a.tenant = ?", [tenant]
    for condition, value in (
        ("a.action = ?", action),
        ("a.actor = ?", actor),
        ("a.at >= ?", since),
        ("a.at < ?", until),
        ("a.sequence < ?", below),
    ):
        if value is not None:
            where += " AND " + condition
            parameters.append(value)  # type: ignore[arg-type]
    rows = query(
        conn,
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE {where} ORDER BY a.sequence DESC LIMIT ?",
        *parameters,
        limit,
    )
    return [_recorded(row) for row in rows]


_COLUMNS: Final = ", ".join("a." + name for name in ("sequence", "hash", *Entry._fields)) + ", w.reason"
_FROM: Final = "audit a LEFT JOIN audit_words w ON w.tenant = a.tenant AND w.sequence = a.sequence"


def _recorded(row: tuple[object, ...]) -> Recorded:
    """A row with the words in the place of their digest."""
    found, words = Recorded(row[0], Entry(*row[2:-1]), row[1]), row[-1]  # type: ignore[arg-type]
    if not (found.entry.reason or "").startswith(_DIGEST):
        return found
    reason = None if words is None else msgspec.json.decode(str(words))[1]
    return found._replace(entry=found.entry._replace(reason=reason))


def first_flaw(conn: Connection, tenant: str) -> int | None:
    """The sequence at which the chain does not hold; None when it holds to its end."""
    place: Link | None = _base(conn, tenant) or Link()
    while place is not None:
        flaw, place = check(conn, tenant, place)
        if flaw is not None:
            return flaw
    return None


def check(
    conn: Connection, tenant: str, after: Link, limit: int = _AT_ONCE
) -> tuple[int | None, Link | None]:
    """The first flaw among the ``limit`` entries after a place, and the place to go on from (None: the end)."""
    rows = query(
        conn,
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE a.tenant = ? AND a.sequence > ? ORDER BY a.sequence LIMIT ?",
        tenant,
        after.sequence,
        limit,
    )
    for row in rows:
        expected, entry = after.sequence + 1, Entry(*row[2:-1])
        if row[0] != expected or row[1] != _hash(after.hash, expected, entry) or not _said(entry, row[-1]):
            return expected, None
        after = Link(expected, row[1])
    return None, after if len(rows) == limit else None


def _said(entry: Entry, words: str | None) -> bool:
    """Whether the words, where they are kept still, are those that the entry was made with."""
    if words is None or not (entry.reason or "").startswith(_DIGEST):
        return words is None
    salt, reason = msgspec.json.decode(words, type=tuple[str, str])
    return entry.reason == _digest(salt, reason)


def hash_at(conn: Connection, tenant: str, sequence: int) -> str | None:
    """The hash of an entry; None when there is none."""
    rows = query(conn, "SELECT hash FROM audit WHERE tenant = ? AND sequence = ?", tenant, sequence)
    return str(rows[0][0]) if rows else None


def base(conn: Connection, tenant: str, key: bytes) -> Link | None:
    """Where the chain begins, after entries were removed for their age; None: at its first one.

    Raises ValueError when it was not set by `prune` under this key.
    """
    rows = query(conn, "SELECT sequence, hash, seal FROM audit_bases WHERE tenant = ?", tenant)
    if not rows:
        return None
    link = Link(*rows[0][:2])
    if not hmac.compare_digest(rows[0][2], _seal(key, tenant, link)):
        raise ValueError("the trail's beginning was not set by the fleet")
    return link


def prune(conn: Connection, tenant: str, key: bytes, before: int, limit: int = _AT_ONCE) -> int:
    """Removes at most ``limit`` of the oldest entries, made before the time; how many. The last one always stays."""
    rows = query(
        conn,
        "SELECT sequence, hash, at FROM audit WHERE tenant = ? ORDER BY sequence LIMIT ?",
        tenant,
        limit + 1,
    )
    old = [Link(*row[:2]) for row in _while_older(rows[:-1], before)]
    if not old:
        return 0
    mark = "%s" if is_postgres(conn) else "?"
    last = old[-1]
    for table in ("audit_bases", "audit_words", "audit"):
        below = "" if table == "audit_bases" else f" AND sequence <= {last.sequence:d}"
        conn.exec_driver_sql(f"DELETE FROM {table} WHERE tenant = {mark}{below}", (tenant,))
    columns = ("tenant", "sequence", "hash", "seal", "at")
    _insert(conn, "audit_bases", columns, (tenant, *last, _seal(key, tenant, last), before))
    return len(old)


def _while_older(rows: list[tuple[int, str, int]], before: int) -> Iterator[tuple[int, str, int]]:
    for row in rows:
        if row[2] >= before:
            return
        yield row


def _base(conn: Connection, tenant: str) -> Link | None:
    rows = query(conn, "SELECT sequence, hash FROM audit_bases WHERE tenant = ?", tenant)
    return Link(*rows[0]) if rows else None


def _seal(key: bytes, tenant: str, link: Link) -> str:
    return hmac.digest(
        key, f"audit base\x1f{tenant}\x1f{link.sequence}\x1f{link.hash}".encode(), "sha256"
    ).hex()


def _digest(salt: str, reason: str) -> str:
    return _DIGEST + hashlib.sha256(f"{salt}\x1f{reason}".encode()).hexdigest()


def _hash(before: str, sequence: int, entry: Entry) -> str:
    return hashlib.sha256(msgspec.json.encode([before, sequence, *entry])).hexdigest()
