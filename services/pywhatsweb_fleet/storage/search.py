"""Full-text search of what was said: words without regard to case or marks, phrases, beginnings of words.

The databases keep the index in step by themselves (migration 0007), whoever inserts, changes or deletes messages. Both
find the newest first, by when they were recorded, and look at a bounded number of entries a call.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.conversation import MessageRow
from pywhatsweb_fleet.storage.statements import is_postgres, query, rows_parameters

_TERM: Final = re.compile(r'"([^"]*)"?|(\S+)')
_MOST_TERMS: Final = 16
_MOST_CANDIDATES: Final = 5000
"""SQLite's entries looked at in one call. Only times and directions are not in the index: mostly the first few do."""
_HOUR_MS: Final = 3_600_000
_WINDOWS_H: Final = (2, 72)
"""PostgreSQL sorts all that it finds, so a frequent word is first looked for in the last hours of the messages."""


class Term(NamedTuple):
    """Words that follow one another; ``prefix``: the last one may go on."""

    words: str
    prefix: bool


class Wish(NamedTuple):
    """What is asked of a message; times in milliseconds since 1970, ``until`` is not within."""

    terms: list[Term]
    session: str | None = None
    chats: tuple[str, ...] = ()
    """Any of these; none given: all."""
    origin: str | None = None
    since: int | None = None
    until: int | None = None


class Place(NamedTuple):
    """Where a page ended."""

    recorded_at: int
    event_id: str
    number: int
    """SQLite's; 0 on PostgreSQL."""


class Found(NamedTuple):
    """``rows``: messages and edits. ``place``: where to go on, None at the end; there may be none in ``rows`` yet."""

    rows: list[MessageRow]
    place: Place | None


def terms(text: str) -> list[Term]:
    """What is asked for: words, ``"a phrase"``, ``begin*``; all have to occur. Empty when there is no letter in it."""
    found = []
    for phrase, word in _TERM.findall(text.replace("\0", " ")):
        words = phrase or word
        if any(character.isalnum() for character in words):
            found.append(Term(words.rstrip("*"), not phrase and words.endswith("*")))
    return found[:_MOST_TERMS]


def find(conn: Connection, tenant: str, wish: Wish, after: Place | None, limit: int) -> Found:
    """Messages and edits with all the terms, newest first, at most ``limit``."""
    if is_postgres(conn):
        return _find_postgres(conn, tenant, wish, after, limit)
    return _find_sqlite(conn, tenant, wish, after, limit)


_ROW = ", ".join("m." + name for name in MessageRow._fields)


def _conditions(tenant: str, wish: Wish) -> tuple[str, list[Any]]:
    """What is checked of each entry. Both databases are kept from using other indexes for it than that of the words."""
    where, values = "m.tenant || '' = ? AND m.kind IN ('message', 'edit') AND m.body IS NOT NULL", [tenant]
    for condition, value in (
        ("m.session || '' = ?", wish.session),
        ("m.origin = ?", wish.origin),
        ("m.sent_at + 0 >= ?", wish.since),
        ("m.sent_at + 0 < ?", wish.until),
    ):
        if value is not None:
            where += " AND " + condition
            values.append(value)  # type: ignore[arg-type]
    if wish.chats:
        where += f" AND m.chat || '' IN ({', '.join('?' * len(wish.chats))})"
        values += wish.chats
    return where, values


def _phrase(words: str) -> str:
    return '"' + words.replace('"', '""') + '"'


def _fts5(tenant: str, wish: Wish) -> str:
    scope = [_phrase("t" + tenant)]
    if wish.session is not None:
        scope.append(_phrase("s" + wish.session))
    if wish.chats:
        scope.append("(" + " OR ".join(_phrase("c" + chat) for chat in wish.chats) + ")")
    words = [_phrase(term.words) + (" *" if term.prefix else "") for term in wish.terms]
    return f"scope : ({' AND '.join(scope)}) AND body : ({' AND '.join(words)})"


def _find_sqlite(conn: Connection, tenant: str, wish: Wish, after: Place | None, limit: int) -> Found:
    match = _fts5(tenant, wish)
    where, values = _conditions(tenant, wish)
    below = after.number if after is not None else 2**63 - 1
    found: list[MessageRow] = []
    step, left = 2 * limit, _MOST_CANDIDATES
    while left > 0:
        numbers = query(
            conn,
            "SELECT rowid FROM message_search WHERE message_search MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?",
            match, below, step,
        )  # fmt: skip
        rows = query(
            conn,
            f"SELECT {_ROW}, m.number FROM json_each(?) AS batch JOIN messages m ON m.number = batch.value "
            f"WHERE {where} ORDER BY m.number DESC LIMIT ?",
            *rows_parameters([row[0] for row in numbers]), *values, limit - len(found),
        )  # fmt: skip
        found += [MessageRow(*row[:-1]) for row in rows]
        if len(found) == limit:
            return Found(found, Place(found[-1].recorded_at, found[-1].event_id, rows[-1][-1]))
        if len(numbers) < step:
            return Found(found, None)
        below = numbers[-1][0]
        left -= step
        step = min(4 * step, left)
    return Found(found, Place(0, "", below))


def _find_postgres(conn: Connection, tenant: str, wish: Wish, after: Place | None, limit: int) -> Found:
    where, values = _conditions(tenant, wish)
    if after is not None:
        where += " AND (m.recorded_at, m.event_id) < (?, ?)"
        values += [after.recorded_at, after.event_id]
    words = " && ".join(
        "(to_tsquery('simple', ?))" if term.prefix else "phraseto_tsquery('simple', pww_fold(?))"
        for term in wish.terms
    )
    asked = [_beginning(conn, term.words) if term.prefix else term.words for term in wish.terms]
    sql = (
        f"SELECT {_ROW} FROM messages m WHERE {where} "
        f"AND pww_message_words(m.tenant, m.session, m.chat, m.recorded_at, m.body) @@ ({words} && ?::tsquery) "
        "ORDER BY m.recorded_at DESC, m.event_id DESC LIMIT ?"
    )
    newest = (after.recorded_at if after is not None else _newest(conn, tenant)) // _HOUR_MS
    rows: list[Any] = []
    for hours in (*_WINDOWS_H, 0):
        when = [f"h {newest + 1 - hour}" for hour in range(hours + 1)] if hours else []
        rows = query(conn, sql, *values, *asked, _tsquery(tenant, wish, when), limit)
        if len(rows) == limit:
            break
    found = [MessageRow(*row) for row in rows]
    place = Place(found[-1].recorded_at, found[-1].event_id, 0) if len(found) == limit else None
    return Found(found, place)


def _tsquery(tenant: str, wish: Wish, when: list[str]) -> str:
    """Whose the messages are, and the hours in which they may have come (none: all)."""
    every = [[f"t {tenant}"], *([[f"s {wish.session}"]] if wish.session is not None else [])]
    any_of = [options for options in ([f"c {chat}" for chat in wish.chats], when) if options]
    return " & ".join("(" + " | ".join(map(_lexeme, options)) + ")" for options in (*every, *any_of))


def _newest(conn: Connection, tenant: str) -> int:
    """When something was last said; an event is recorded a little later, at the earliest."""
    rows = query(conn, "SELECT last_at FROM chats WHERE tenant = ? ORDER BY last_at DESC LIMIT 1", tenant)
    return int(rows[0][0]) if rows else 0


def _lexeme(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _beginning(conn: Connection, words: str) -> str:
    return _lexeme(query(conn, "SELECT pww_fold(?)", words)[0][0]) + ":*"
