"""Token buckets, in this process: replicas do not share them, so the fleet's bound is theirs together."""

from __future__ import annotations

import time
from collections import OrderedDict

_KEPT = 10_000


class Buckets:
    """A bucket a name; the longest unused one is forgotten when there are too many."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float | None = None) -> float:
        """0 when there was a token, else the seconds until there is one."""
        now = time.monotonic() if now is None else now
        level = self._level(name, now)
        missing = 1.0 - level
        self._levels[name] = (level if missing > 0 else level - 1.0, now)
        self._levels.move_to_end(name)
        if len(self._levels) > _KEPT:
            self._levels.popitem(last=False)
        return max(0.0, missing / self._rate)

    def empty(self, name: str, now: float | None = None) -> float:
        """As `take`, without taking."""
        now = time.monotonic() if now is None else now
        return max(0.0, (1.0 - self._level(name, now)) / self._rate) if name in self._levels else 0.0

    def _level(self, name: str, now: float) -> float:
        level, at = self._levels.get(name, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)
