"""Token buckets, in this process; `sharing` tells the other replicas what was taken, and takes here what they tell."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping

_KEPT = 10_000


class Buckets:
    """A bucket a name; the longest unused one is forgotten when there are too many."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._taken: dict[str, float] = {}

    def take(self, name: str, now: float | None = None) -> float:
        """0 when there was a token, else the seconds until there is one."""
        now = time.monotonic() if now is None else now
        level = self._level(name, now)
        missing = 1.0 - level
        if missing <= 0:
            self._taken[name] = self._taken.get(name, 0.0) + 1.0
            level -= 1.0
        self._put(name, level, now)
        return max(0.0, missing / self._rate)

    def empty(self, name: str, now: float | None = None) -> float:
        """As `take`, without taking."""
        now = time.monotonic() if now is None else now
        return max(0.0, (1.0 - self._level(name, now)) / self._rate) if name in self._levels else 0.0

    def taken(self) -> dict[str, float]:
        """By name: what `take` took since this was last asked."""
        found, self._taken = self._taken, {}
        return found

    def levels(self, now: float | None = None) -> dict[str, float]:
        """The buckets that are not full."""
        now = time.monotonic() if now is None else now
        found = {name: self._level(name, now) for name in self._levels}
        return {name: level for name, level in found.items() if level < self._burst}

    def take_away(self, taken: Mapping[str, float], now: float | None = None) -> None:
        """What other replicas took; a bucket goes no deeper below empty than it is high."""
        now = time.monotonic() if now is None else now
        for name, tokens in taken.items():
            self._put(name, max(-self._burst, self._level(name, now) - max(0.0, tokens)), now)

    def lower(self, levels: Mapping[str, float], aged_s: float, now: float | None = None) -> None:
        """To what another replica's levels of so long ago would be by now, where ours are higher."""
        now = time.monotonic() if now is None else now
        for name, level in levels.items():
            filled = max(-self._burst, level) + max(0.0, aged_s) * self._rate
            self._put(name, min(self._level(name, now), filled), now)

    def _level(self, name: str, now: float) -> float:
        level, at = self._levels.get(name, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)

    def _put(self, name: str, level: float, now: float) -> None:
        self._levels[name] = (level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > _KEPT:
            self._levels.popitem(last=False)
