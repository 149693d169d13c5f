"""Working time in the tenant's zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts.kanban_data import Hours
from pywhatsweb_fleet.kanban import hours

DAY = [["09:00", "12:00"], ["13:00", "18:00"]]
OFFICE = Hours(monday=DAY, tuesday=DAY, wednesday=DAY, thursday=DAY, friday=DAY, holidays=["2026-12-25"])


def ms(text: str, zone: str = "America/Sao_Paulo") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        ("2026-11-23T10:00", 30, "2026-11-23T10:30"),
        ("2026-11-23T11:45", 30, "2026-11-23T13:15"),
        ("2026-11-23T07:00", 30, "2026-11-23T09:30"),
        ("2026-11-20T17:50", 30, "2026-11-23T09:20"),
        ("2026-12-24T17:30", 60, "2026-12-28T09:30"),
        ("2026-11-23T09:00", 8 * 60, "2026-11-23T18:00"),
    ],
)
def test_only_working_time_counts(start: str, minutes: float, end: str) -> None:
    """Lunch, nights, weekends and holidays do not."""
    assert hours.after(ms(start), minutes, OFFICE) == ms(end)


@pytest.mark.parametrize(
    ("at", "since"),
    [
        ("2026-11-23T10:00", None),
        ("2026-11-23T09:00", None),
        ("2026-11-23T12:00", "2026-11-23T12:00"),
        ("2026-11-23T12:59", "2026-11-23T12:00"),
        ("2026-11-23T08:59", "2026-11-20T18:00"),
        ("2026-12-25T10:00", "2026-12-24T18:00"),
    ],
)
def test_a_closing_begins_with_the_last_spans_end(at: str, since: str | None) -> None:
    """At lunch, before a week begins, on a holiday; none while it is open."""
    assert hours.closed_since(ms(at), OFFICE) == (None if since is None else ms(since))
    assert hours.closed_since(ms(at), Hours()) is None


def test_without_hours_the_clock_never_stops() -> None:
    """A tenant that has none is always open."""
    assert hours.after(1000, 1, Hours()) == 61_000


def test_a_night_shift_over_a_change_of_clocks() -> None:
    """In New York the day of 8 March 2026 has 23 hours."""
    always = Hours(timezone="America/New_York", sunday=[["00:00", "24:00"]], monday=[["00:00", "24:00"]])
    start = ms("2026-03-08T00:00", "America/New_York")
    assert hours.after(start, 23 * 60, always) == ms("2026-03-09T00:00", "America/New_York")


@given(st.integers(0, 4_000_000_000_000), st.floats(1, 10_000))
def test_it_never_ends_before_it_would_without_pauses(start: int, minutes: float) -> None:
    """And a longer span never ends before a shorter one."""
    end = hours.after(start, minutes, OFFICE)
    assert end >= start + round(minutes * 60_000)
    assert hours.after(start, minutes + 1, OFFICE) > end


def test_zones_are_known_or_not() -> None:
    """Nothing that looks like a path is opened."""
    assert hours.known_zone("America/Sao_Paulo")
    assert not any(hours.known_zone(name) for name in ("Mars/Base", "../etc/passwd", ""))
