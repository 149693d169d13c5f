"""Conditions that are told when they begin, once, and again when they are over: alert events of a service's own.

A condition begins beyond its limit and is over only when it is better than that by a fifth, so that a value which
hovers about the limit is told once. What stands is kept where the next in charge finds it (`registry.AlarmsRecord`,
`registry.NowRecord.alarms`): one that was told by a process which died is ended by another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import timestamp

RELIEF: Final = 0.8
"""Of the limit: below it a condition is over."""


class Reading(NamedTuple):
    """A condition as it is now."""

    kind: str
    bad: bool | None
    """None: neither so bad that it would begin, nor so good that it would be over."""
    details: Mapping[str, Any]
    session: str = ""
    about: str = ""
    """Tells apart conditions of one kind and session."""
    error: str | None = None
    """A catalogue code."""

    @property
    def key(self) -> str:
        return f"{self.kind}|{self.session}|{self.about}"


class Change(NamedTuple):
    """What is to be told: ``reading`` began, or, ``over``, has ended. ``since``: milliseconds, when it began."""

    reading: Reading
    since: int
    over: bool

    def alert(self, error: Any = None) -> d.Alert:
        """The event's data; ``error``: the reading's code as the wire has it."""
        details = {**self.reading.details, "since": timestamp(self.since)}
        return d.Alert(kind=self.reading.kind, error=error, details=details, resolved=self.over)


def beyond(value: float, limit: float) -> bool | None:
    """Whether ``value`` is worse than ``limit``, as `Reading.bad` has it; a limit of 0 is none."""
    if limit <= 0 or value < RELIEF * limit:
        return False
    return True if value > limit else None


def changes(standing: Mapping[str, int], readings: Iterable[Reading], now_ms: int) -> list[Change]:
    """What begins and ends, by what stands (`Reading.key` → since when). What is read no more is over."""
    found: list[Change] = []
    read: set[str] = set()
    for reading in readings:
        read.add(reading.key)
        since = standing.get(reading.key)
        if since is None and reading.bad:
            found.append(Change(reading, now_ms, over=False))
        elif since is not None and reading.bad is False:
            found.append(Change(reading, since, over=True))
    for key, since in standing.items():
        if key not in read:
            kind, session, about = key.split("|", 2)
            found.append(Change(Reading(kind, False, {}, session, about), since, over=True))
    return found


def after(standing: Mapping[str, int], told: Iterable[Change]) -> dict[str, int]:
    """What stands when these were told."""
    left = dict(standing)
    for change in told:
        if change.over:
            left.pop(change.reading.key, None)
        else:
            left[change.reading.key] = change.since
    return left
