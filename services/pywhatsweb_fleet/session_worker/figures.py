"""How a session's sends went lately, for the alerts `high_latency` and `high_error_rate`."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from pywhatsweb_runtime import alarms
from pywhatsweb_runtime.alarms import Reading

WINDOW_S: Final = 300.0
LEAST: Final = 10
"""Sends of a window, below which nothing begins: one bad one of three says little."""
_MOST: Final = 500
_SLOWEST: Final = 0.95


class Figures:
    """Of one session. Limits as in `Settings`; 0: none."""

    __slots__ = ("_began", "_latency_s", "_rate", "_sends")

    def __init__(self, latency_s: float, rate: float) -> None:
        self._latency_s = latency_s
        self._rate = rate
        self._began = time.monotonic()
        self._sends: deque[tuple[float, float | None]] = deque(maxlen=_MOST)
        """When it ended, and after how many seconds WhatsApp acknowledged it (None: it failed)."""

    def sent(self, latency_s: float) -> None:
        self._sends.append((time.monotonic(), latency_s))

    def failed(self) -> None:
        self._sends.append((time.monotonic(), None))

    def readings(self) -> Iterator[Reading]:
        since = time.monotonic() - WINDOW_S
        while self._sends and self._sends[0][0] < since:
            self._sends.popleft()
        waited = sorted(latency for _, latency in self._sends if latency is not None)
        slow = waited[math.ceil(_SLOWEST * len(waited)) - 1] if waited else 0.0
        rate = 1 - len(waited) / len(self._sends) if self._sends else 0.0
        yield self._reading("high_latency", slow, self._latency_s, "latency_s")
        yield self._reading("high_error_rate", rate, self._rate, "error_rate")

    def _reading(self, kind: str, value: float, limit: float, name: str) -> Reading:
        bad = alarms.beyond(value, limit)
        if len(self._sends) < LEAST and (bad or time.monotonic() - self._began < WINDOW_S):
            bad = None  # an owner that has just begun does not know that what its forerunner told is over
        return Reading(kind, bad, {name: round(value, 3), "sends": len(self._sends), "limit": limit})
