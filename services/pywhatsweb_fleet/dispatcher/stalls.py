"""Notices that this process was frozen: stopped by a signal, starved of CPU, suspended with its machine.

A replica that was away for longer than its pin lives has been replaced, and what it still holds is no longer its to
do, while it has felt no time pass. So whoever is about to publish looks at the clock first.
"""

from __future__ import annotations

import asyncio
import time

STALL_S = 1.5
_TICK_S = 0.25


def clock() -> float:
    """Seconds that go on while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class StallWatch:
    """One a process; `tick_for_ever` runs beside the service."""

    def __init__(self) -> None:
        self._count = 0
        self._last = clock()

    def count(self) -> int:
        """How many stalls there were until now, one that is just over included."""
        now = clock()
        if now - self._last > STALL_S:
            self._count += 1
        self._last = now
        return self._count

    async def tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.count()
