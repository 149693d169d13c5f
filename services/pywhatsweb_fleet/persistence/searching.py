"""The questions about more than one chat: search by words, and numbers over a span of time."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import kanban_data as k
from pywhatsweb.contracts import record_data as r
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.persistence import pages
from pywhatsweb_fleet.persistence.asking import Asker, chat_keys, from_cursor, to_cursor
from pywhatsweb_fleet.storage import analytics, kanban, search
from pywhatsweb_fleet.storage.analytics import Span

_DAY_MS: Final = 86_400_000


def message_search(conn: Connection, who: Asker, args: r.MessageSearch) -> d.Messages:
    """Raises ContractError: E_INVALID_FIELD (no word in it), E_INVALID_CURSOR, E_INVALID_TIMESTAMP, E_INVALID_PHONE."""
    terms = search.terms(args.query)
    if not terms:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.query", "reason": "no word to look for"})
    wish = search.Wish(
        terms,
        args.session_id,
        _chats(conn, who, args),
        args.origin.value if args.origin is not None else None,
        pages.milliseconds(args.since),
        pages.milliseconds(args.until),
    )
    found = search.find(conn, who.id, wish, from_cursor(args.cursor, search.Place), args.limit)
    return d.Messages(
        messages=pages.matching(conn, who.id, found.rows),
        cursor=to_cursor(found.place) if found.place is not None else None,
    )


def _chats(conn: Connection, who: Asker, args: r.MessageSearch) -> tuple[str, ...]:
    if args.to is not None:
        return tuple(chat_keys(conn, who, args.to))
    return (args.chat,) if args.chat is not None else ()


def analytics_counts(conn: Connection, who: Asker, args: r.AnalyticsCounts) -> r.Counts:
    """Raises ContractError: E_INVALID_FIELD (zone, span), E_INVALID_TIMESTAMP."""
    name = args.zone or _zone_of_board(conn, who.id)
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.zone", "reason": "no such zone"}) from None
    days: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"inbound": 0, "outbound": 0})
    for count in analytics.counts(conn, who.id, _span(args)):
        day = datetime.fromtimestamp(count.quarter / 1000, UTC).astimezone(zone).date().isoformat()
        days[day, count.session][count.origin] += count.messages
    return r.Counts(
        zone=name,
        inbound=sum(one["inbound"] for one in days.values()),
        outbound=sum(one["outbound"] for one in days.values()),
        days=[r.DayCount(day=day, session_id=session, **days[day, session]) for day, session in sorted(days)],
    )


def analytics_responses(conn: Connection, who: Asker, args: r.AnalyticsResponses) -> r.Responses:
    """Raises ContractError: E_INVALID_FIELD (span), E_INVALID_TIMESTAMP."""
    span = _span(args)
    answered = {one.session: one for one in analytics.answered(conn, who.id, span)}
    waiting = analytics.waiting(conn, who.id, span)

    def times(session: str, waits: int) -> r.ResponseTimes:
        one = answered.get(session)
        return r.ResponseTimes(
            session_id=session or None,
            answered=one.answered if one else 0,
            median_s=one.median_ms / 1000 if one else None,
            p90_s=one.p90_ms / 1000 if one else None,
            waiting=waits,
        )

    names = sorted((answered.keys() | waiting.keys()) - {""})
    return r.Responses(
        total=times("", sum(waiting.values())), sessions=[times(name, waiting.get(name, 0)) for name in names]
    )


def _span(args: r.SpanArgs) -> Span:
    since, until = pages.milliseconds(args.since), pages.milliseconds(args.until)
    assert since is not None  # noqa: S101 - they are not optional
    assert until is not None  # noqa: S101
    if not since < until <= since + r.MAX_SPAN_DAYS * _DAY_MS:
        raise ContractError(
            ErrorCode.E_INVALID_FIELD, {"path": "$.until", "limit": f"{r.MAX_SPAN_DAYS} days"}
        )
    return Span(since, until, args.session_id)


def _zone_of_board(conn: Connection, tenant: str) -> str:
    row = kanban.policy(conn, tenant)
    policy = msgspec.json.decode(row.policy, type=k.Policy) if row is not None else k.Policy()
    return policy.hours.timezone
