"""What a session's sends of the last minutes say."""

from __future__ import annotations

import pytest

from pywhatsweb_fleet.session_worker import figures
from pywhatsweb_fleet.session_worker.figures import Figures


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(figures, "time", found)
    return found


def bad(of: Figures) -> tuple[bool | None, bool | None]:
    """Latency, error rate."""
    latency, rate = of.readings()
    return latency.bad, rate.bad


def test_a_few_bad_sends_begin_nothing(clock: Clock) -> None:
    """Below ten sends nothing begins, and nothing is over before the window has passed."""
    of = Figures(1.0, 0.25)
    for _ in range(figures.LEAST - 1):
        of.failed()
    assert bad(of) == (None, None)
    of.failed()
    assert bad(of) == (False, True)
    clock.now += figures.WINDOW_S + 1
    assert bad(of) == (False, False)


def test_one_in_twenty_that_is_slow_is_too_many(clock: Clock) -> None:
    """The 95th percentile counts; a limit of 0 is none."""
    of, unlimited = Figures(1.0, 0), Figures(0, 0)
    for number in range(40):
        for each in (of, unlimited):
            each.sent(5.0 if number % 20 == 0 else 0.1)
        clock.now += 0.1
    assert bad(of) == (False, False)
    of.sent(5.0)
    assert bad(of) == (True, False)
    assert next(of.readings()).details["latency_s"] == 5.0
    assert bad(unlimited) == (False, False)
