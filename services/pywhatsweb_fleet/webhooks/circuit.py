"""When the next try of a webhook may be: after failures in a row its circuit opens, and only a probe goes out now and
then, until one succeeds. Times are seconds of one clock."""

from __future__ import annotations

from typing import Final

OPENS_AFTER: Final = 10
_FIRST_S: Final = 30.0
_LAST_S: Final = 600.0


class Circuit:
    def __init__(self, failures: int, now: float) -> None:
        self.failures = failures
        self.not_before = now
        """Nothing is posted earlier."""

    @property
    def open(self) -> bool:
        return self.failures >= OPENS_AFTER

    def succeeded(self) -> bool:
        """Whether it was open until now."""
        was, self.failures = self.open, 0
        return was

    def failed(self, now: float, retry_after_s: float) -> bool:
        """Whether it opened by this."""
        self.failures += 1
        pause = retry_after_s
        if self.open:
            pause = max(pause, min(_FIRST_S * 2 ** min(self.failures - OPENS_AFTER, 10), _LAST_S))
        self.not_before = max(self.not_before, now + pause)
        return self.failures == OPENS_AFTER
