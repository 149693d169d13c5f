"""Who does not want to be written to, whichever of a person's addresses is asked about.

A row is a register: the later word counts, of two at once the one to be left alone. So words that are told again, or
late, change nothing that came after them. Nothing here names a person: keys are digests under the tenant's key.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import ids
from pywhatsweb.contracts.consent_data import ANSWER_DAYS, USUAL_WORDS
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb_fleet.storage.consent_tables import optouts
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import chats, identities

ANSWER_MS: Final = ANSWER_DAYS * 86_400_000
_to_json = msgspec.json.Encoder().encode
_words = msgspec.json.Decoder(list[str]).decode


class OptOut(NamedTuple):
    """``chat`` is one of the keys of ``person``; ``state``: ``out`` or ``in``; ``at`` in milliseconds since 1970."""

    tenant: str
    chat: str
    person: str
    state: str
    at: int
    source: str
    word: str | None = None
    session: str | None = None
    changed_by: str | None = None


class Wish(NamedTuple):
    """Somebody (``pn:…`` or ``lid:…``) is to be written to through a session."""

    address: str
    session: str
    marketing: bool


_ROW: Final = OptOut._fields


def aliases(
    conn: Connection, tenant: str, key: TenantKey, addresses: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """For each address (``pn:…``, ``lid:…``) the keys of every chat that may be with the same person, sorted."""
    from pywhatsweb.phone import brazil_candidates  # megabytes that a worker else does without

    numbers = {one[3:]: brazil_candidates(one[3:]) for one in addresses if one.startswith("pn:")}
    lids = {one[4:] for one in addresses if one.startswith("lid:")}
    number_of = dict(_identities(conn, tenant, "lid", lids))
    every = {form for forms in numbers.values() for form in forms}
    every |= {form for number in number_of.values() for form in brazil_candidates(number)}
    lids_of: dict[str, set[str]] = {}
    for lid, number in _identities(conn, tenant, "pn", every):
        lids_of.setdefault(number, set()).add(lid)

    def keys(address: str) -> tuple[str, ...]:
        kind, _, name = address.partition(":")
        number = name if kind == "pn" else number_of.get(name)
        forms = brazil_candidates(number) if number is not None else ()
        known = {lid for form in forms for lid in lids_of.get(form, ())} | (
            {name} if kind == "lid" else set()
        )
        found = {ids.chat_key(key, pn=form) for form in forms} | {ids.chat_key(key, lid=lid) for lid in known}
        return tuple(sorted(found))

    return {address: keys(address) for address in addresses}


def _identities(conn: Connection, tenant: str, column: str, values: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of LID and number, by either."""
    if not values:
        return []
    source = rows_source(is_postgres(conn), identities, ("tenant", column))
    sql = (
        f"SELECT i.lid, i.pn FROM {source} "
        f"JOIN identities i ON i.tenant = batch.tenant AND i.{column} = batch.{column}"
    )
    rows = conn.exec_driver_sql(
        sql, rows_parameters([(tenant, value) for value in sorted(values)])
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def put(conn: Connection, row: OptOut, keys: Iterable[str]) -> bool:
    """Writes a person's choice under all of their keys; whether anything changed."""
    rows = [row._replace(chat=chat) for chat in sorted(set(keys))]
    changes = ", ".join(f"{name} = excluded.{name}" for name in _ROW[2:])
    conflict = (
        f"(tenant, chat) DO UPDATE SET {changes} WHERE excluded.at > optouts.at OR "
        "(excluded.at = optouts.at AND excluded.state = 'out' AND optouts.state <> 'out')"
    )
    return insert_rows(conn, optouts, _ROW, rows, conflict) > 0


def find(conn: Connection, tenant: str, keys: Collection[str]) -> OptOut | None:
    """The opt-out that stands: the last word under any of a person's keys."""
    last = latest(conn, tenant, keys)
    return last if last is not None and last.state == "out" else None


def latest(conn: Connection, tenant: str, keys: Collection[str]) -> OptOut | None:
    """A person's last word, whichever it was."""
    return _last(_rows(conn, tenant, keys))


def standing(conn: Connection, tenant: str, keys: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Of people with their keys, those who are out, and since when."""
    rows = {row.chat: row for row in _rows(conn, tenant, {one for found in keys.values() for one in found})}
    last = {name: _last([rows[one] for one in found if one in rows]) for name, found in keys.items()}
    return {name: row.at for name, row in last.items() if row is not None and row.state == "out"}


def spread(conn: Connection, tenant: str, keys: Collection[str]) -> None:
    """Keeps a person's opt-out under all of these keys: what makes them one person is about to be forgotten."""
    if (row := find(conn, tenant, keys)) is not None:
        put(conn, row, keys)


def page(conn: Connection, tenant: str, after: str, limit: int) -> list[OptOut]:
    """Those that stand, a row a person, from behind a key on."""
    sql = (
        f"SELECT {', '.join(_ROW)} FROM optouts WHERE tenant = ? AND chat > ? AND chat = person "
        "AND state = 'out' ORDER BY chat LIMIT ?"
    )
    return [OptOut(*row) for row in query(conn, sql, tenant, after, limit)]


def addresses(
    conn: Connection, tenant: str, people: Collection[str]
) -> dict[str, tuple[str | None, str | None]]:
    """Number and LID of those people (`OptOut.person`) with whom there is a chat."""
    if not people:
        return {}
    source = rows_source(is_postgres(conn), optouts, ("tenant", "person"))
    sql = (
        f"SELECT o.person, max(c.pn), max(c.lid) FROM {source} "
        "JOIN optouts o ON o.tenant = batch.tenant AND o.person = batch.person "
        "JOIN chats c ON c.tenant = o.tenant AND c.chat = o.chat GROUP BY o.person"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters([(tenant, one) for one in sorted(people)])).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def any_of(conn: Connection, tenant: str) -> bool:
    """Whether the tenant has any: mostly none, and then nothing else need be asked."""
    return bool(query(conn, "SELECT 1 FROM optouts WHERE tenant = ? AND chat > '' LIMIT 1", tenant))


def blocked(conn: Connection, tenant: str, key: TenantKey, wishes: Sequence[Wish], now: int) -> set[Wish]:
    """Those of the wishes that must not come true. ``now``: milliseconds since 1970."""
    if not wishes or not any_of(conn, tenant):
        return set()
    keys = aliases(conn, tenant, key, {wish.address for wish in wishes})
    since = standing(conn, tenant, keys)
    out = {wish: since[wish.address] for wish in wishes if wish.address in since}
    asked = {wish: at for wish, at in out.items() if not wish.marketing}
    wrote = _wrote(conn, tenant, {(wish.session, one) for wish in asked for one in keys[wish.address]})
    answers = {
        wish
        for wish, at in asked.items()
        if max((wrote.get((wish.session, one), 0) for one in keys[wish.address]), default=0)
        > max(at, now - ANSWER_MS)
    }
    return out.keys() - answers


def _last(rows: Sequence[OptOut]) -> OptOut | None:
    return max(rows, key=lambda row: (row.at, row.state == "out"), default=None)


def _rows(conn: Connection, tenant: str, keys: Collection[str]) -> list[OptOut]:
    if not keys:
        return []
    names = ", ".join(f"o.{name}" for name in _ROW)
    source = rows_source(is_postgres(conn), optouts, ("tenant", "chat"))
    sql = f"SELECT {names} FROM {source} JOIN optouts o ON o.tenant = batch.tenant AND o.chat = batch.chat"
    found = conn.exec_driver_sql(sql, rows_parameters([(tenant, one) for one in sorted(keys)])).fetchall()
    return [OptOut(*row) for row in found]


def _wrote(conn: Connection, tenant: str, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """When each chat (session and key) was last written in by the person."""
    if not pairs:
        return {}
    source = rows_source(is_postgres(conn), chats, ("tenant", "session", "chat"))
    sql = (
        f"SELECT c.session, c.chat, c.last_inbound_at FROM {source} JOIN chats c "
        "ON c.tenant = batch.tenant AND c.session = batch.session AND c.chat = batch.chat"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters([(tenant, *pair) for pair in sorted(pairs)])).fetchall()
    return {(row[0], row[1]): int(row[2]) for row in rows}


def words_of(conn: Connection, tenant: str) -> list[str] | None:
    """The tenant's own words, normalised; None: the usual ones."""
    rows = query(conn, "SELECT words FROM optout_words WHERE tenant = ?", tenant)
    return _words(rows[0][0]) if rows else None


def words_that_count(conn: Connection, tenant: str) -> frozenset[str]:
    own = words_of(conn, tenant)
    return frozenset(USUAL_WORDS if own is None else own)


def set_words(conn: Connection, tenant: str, words: Sequence[str], at: int, by: str | None) -> None:
    query(
        conn,
        "INSERT INTO optout_words (tenant, words, changed_at, changed_by) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (tenant) DO UPDATE SET words = excluded.words, changed_at = excluded.changed_at, "
        "changed_by = excluded.changed_by RETURNING tenant",
        tenant, _to_json(words).decode(), at, by,
    )  # fmt: skip
