"""Numbers over a tenant's messages: how many, and how soon they are answered. Read from the record, nothing is kept."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import query

QUARTER_MS = 900_000
"""Every zone's days begin at a quarter of an hour."""


class Span(NamedTuple):
    """Of time, in milliseconds since 1970; ``until`` is not within. Of one session when it is given."""

    since: int
    until: int
    session: str | None = None


class Count(NamedTuple):
    """Messages of a session that were sent within a quarter of an hour."""

    session: str
    origin: str
    quarter: int
    """Its beginning in milliseconds since 1970."""
    messages: int


class Answered(NamedTuple):
    """How long contacts waited for an answer: the time from the first message that was not answered yet to the next
    of ours, in milliseconds; percentiles by nearest rank."""

    session: str
    """Empty: all of them together."""
    answered: int
    median_ms: int
    p90_ms: int


def _within(tenant: str, span: Span) -> tuple[str, list[str | int]]:
    where = "tenant = ? AND kind = 'message' AND sent_at >= ? AND sent_at < ?"
    values: list[str | int] = [tenant, span.since, span.until]
    if span.session is not None:
        where += " AND session = ?"
        values.append(span.session)
    return where, values


def counts(conn: Connection, tenant: str, span: Span) -> list[Count]:
    """Messages by session, direction and quarter of an hour; quarters without any are left out."""
    where, values = _within(tenant, span)
    quarter = f"sent_at / {QUARTER_MS}"
    sql = (
        f"SELECT session, origin, ({quarter}) * {QUARTER_MS}, count(*) FROM messages WHERE {where} "
        f"GROUP BY session, origin, {quarter} ORDER BY 3, 1, 2"
    )
    return [Count(*row) for row in query(conn, sql, *values)]


_RUNS = """
WITH said AS (
    SELECT session, chat, sent_at, event_id, origin,
           lag(origin) OVER (PARTITION BY session, chat ORDER BY sent_at, event_id) AS before
    FROM messages WHERE {where}
), turns AS (
    SELECT session, origin, sent_at,
           lead(sent_at) OVER (PARTITION BY session, chat ORDER BY sent_at, event_id) AS next_at
    FROM said WHERE before IS NULL OR before <> origin
)
"""
_ANSWERED = (
    _RUNS
    + """, waits AS (
    SELECT session, next_at - sent_at AS wait FROM turns WHERE origin = 'inbound' AND next_at IS NOT NULL
), ranked AS (
    SELECT session, wait, row_number() OVER (PARTITION BY session ORDER BY wait) AS place,
           count(*) OVER (PARTITION BY session) AS waits
    FROM (SELECT session, wait FROM waits UNION ALL SELECT '', wait FROM waits) AS both_ways
)
SELECT session, max(waits), max(CASE WHEN place = (waits + 1) / 2 THEN wait END),
       max(CASE WHEN place = (waits * 9 + 9) / 10 THEN wait END)
FROM ranked GROUP BY session ORDER BY session
"""
)
_WAITING = (
    _RUNS
    + "SELECT session, count(*) FROM turns WHERE origin = 'inbound' AND next_at IS NULL GROUP BY session"
)


def answered(conn: Connection, tenant: str, span: Span) -> list[Answered]:
    """By session and all together (first); a session without any is left out."""
    where, values = _within(tenant, span)
    return [Answered(*row) for row in query(conn, _ANSWERED.format(where=where), *values)]


def waiting(conn: Connection, tenant: str, span: Span) -> dict[str, int]:
    """Chats whose last word within the span is theirs, by session."""
    where, values = _within(tenant, span)
    return {row[0]: row[1] for row in query(conn, _WAITING.format(where=where), *values)}
