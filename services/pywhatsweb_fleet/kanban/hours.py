"""Working time: when a span of it that begins at some moment is over, with the tenant's hours, holidays and zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from pywhatsweb.contracts.kanban_data import Hours

_MINUTE_MS = 60_000
_MOST_DAYS = 3 * 366
"""How far to look: who works a minute a week has no deadline that matters."""


def known_zone(name: str) -> bool:
    """Whether this machine's time zones have it."""
    try:
        _zone(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def after(start_ms: int, minutes: float, hours: Hours) -> int:
    """The moment at which ``minutes`` of working time from ``start_ms`` on are over, in milliseconds since 1970."""
    left = round(minutes * _MINUTE_MS)
    if not any(hours.week):
        return start_ms + left
    end = start_ms
    for begin, end in _spans(start_ms, hours):
        worked = end - max(begin, start_ms)
        if worked >= left:
            return end - worked + left
        left -= worked
    return max(start_ms, end) + left


def closed_since(at_ms: int, hours: Hours) -> int | None:
    """When the closing began in which the moment lies (0: before all that counts); None while it is open."""
    if not any(hours.week):
        return None
    found = next(_spans(at_ms, hours), None)
    if found is not None and found[0] <= at_ms:
        return None
    zone = _zone(hours.timezone)
    day = datetime.fromtimestamp(at_ms / 1000, zone).date()
    for _ in range(_MOST_DAYS):
        if day.isoformat() not in hours.holidays:
            ends = [
                end for _, clock in hours.week[day.weekday()] if (end := _moment(day, clock, zone)) <= at_ms
            ]
            if ends:
                return max(ends)
        day -= timedelta(days=1)
    return 0


def _spans(start_ms: int, hours: Hours) -> Iterator[tuple[int, int]]:
    """Spans of work that end after ``start_ms``, in order; a change of clocks makes them longer or shorter."""
    zone = _zone(hours.timezone)
    holidays = frozenset(hours.holidays)
    day = datetime.fromtimestamp(start_ms / 1000, zone).date()
    for _ in range(_MOST_DAYS):
        if day.isoformat() not in holidays:
            for begin, end in hours.week[day.weekday()]:
                end_ms = _moment(day, end, zone)
                if end_ms > start_ms:
                    yield _moment(day, begin, zone), end_ms
        day += timedelta(days=1)


def _moment(day: date, clock: str, zone: ZoneInfo) -> int:
    hour, minute = int(clock[:2]), int(clock[3:])
    if hour == 24:
        day, hour = day + timedelta(days=1), 0
    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    return round(moment.astimezone(UTC).timestamp() * 1000)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
