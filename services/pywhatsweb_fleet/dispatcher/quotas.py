"""How many commands a second a tenant, and each of its sessions, may bring: token buckets in memory.

One replica at a time serves a tenant, so its buckets are the whole truth; a takeover begins with full ones.
"""

from __future__ import annotations

from pywhatsweb_runtime.registry import TenantRecord

BURST_S = 2.0
"""A bucket holds the commands of so many seconds."""


_REFUSALS = 4.0
"""A tenant's refusals cost as much as commands do, so there are at most so many times its rate of them a second."""
_LONGEST_S = 0.5


def penalty_s(record: TenantRecord, refused: int) -> float:
    """How long a tenant waits after so many of its commands came too fast: its flood takes its own time."""
    rates = (record.commands_per_second, record.session_commands_per_second)
    rate = max((rate for rate in rates if rate > 0), default=0.0)
    return min(_LONGEST_S, refused / (rate * _REFUSALS)) if rate and refused else 0.0


class TokenBucket:
    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._left = max(1.0, rate * BURST_S)
        self._at = now

    def missing(self, now: float) -> float:
        """Seconds until a token is there; 0 when one is."""
        self._left = min(max(1.0, self.rate * BURST_S), self._left + (now - self._at) * self.rate)
        self._at = now
        return 0.0 if self._left > 1 - 1e-9 else (1 - self._left) / self.rate

    def take(self) -> None:
        self._left -= 1


class Quotas:
    """Of one tenant."""

    def __init__(self) -> None:
        self._tenant: TokenBucket | None = None
        self._sessions: dict[str, TokenBucket] = {}

    def wait(self, record: TenantRecord, session: str, now: float) -> float:
        """Takes a token of the tenant and of the session: 0; or none, and the seconds to wait for them."""
        tenant = self._bucket(self._tenant, record.commands_per_second, now)
        own = self._bucket(self._sessions.get(session), record.session_commands_per_second, now)
        self._tenant = tenant
        if own is not None:
            self._sessions[session] = own
        elif self._sessions:
            self._sessions.clear()
        buckets = [bucket for bucket in (tenant, own) if bucket is not None]
        missing = max((bucket.missing(now) for bucket in buckets), default=0.0)
        if not missing:
            for bucket in buckets:
                bucket.take()
        return missing

    @staticmethod
    def _bucket(present: TokenBucket | None, rate: float, now: float) -> TokenBucket | None:
        if rate <= 0:
            return None
        return present if present is not None and present.rate == rate else TokenBucket(rate, now)
