"""Rules of `WhatsWebManager.setup_alerts`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pywhatsweb.contracts.events import AnyEvent, SessionEvent, StatusEvent
from pywhatsweb.contracts.statuses import MessageStatus, SessionStatus

if TYPE_CHECKING:
    from pywhatsweb.legacy.session import Session

_KNOWN: Final = frozenset(
    (
        "max_reconnection_attempts",
        "max_message_latency_ms",
        "min_active_sessions",
        "max_error_rate",
        "check_interval",
    )
)
_KINDS: Final = {
    "max_message_latency_ms": "high_latency",
    "min_active_sessions": "few_active_sessions",
    "max_error_rate": "high_error_rate",
}
_DOWN: Final = (
    SessionStatus.RECONNECTING,
    SessionStatus.LOGGED_OUT,
    SessionStatus.REPLACED,
    SessionStatus.BANNED,
    SessionStatus.FAILED,
)


class Alerts:
    """Each condition alerts when it begins, and again only after it was over."""

    def __init__(self, config: Mapping[str, float]) -> None:
        unknown = set(config) - _KNOWN
        if unknown:
            raise ValueError(
                f"unknown limits: {', '.join(sorted(unknown))}; there are {', '.join(sorted(_KNOWN))}"
            )
        self._limits = dict(config)
        self.check_interval: float = float(config.get("check_interval", 5.0))
        self._standing: set[str] = set()
        self.kinds: frozenset[str] = frozenset(
            ("session_down", *(kind for limit, kind in _KINDS.items() if limit in config))
        )
        """What is told here, by this program's own limits."""

    def by_event(self, session: Session, event: AnyEvent) -> Iterator[dict[str, Any]]:
        base = {"session_id": event.session_id, "tenant_id": event.tenant_id}
        if isinstance(event, SessionEvent) and event.data.status in _DOWN:
            yield base | {
                "type": "session_down",
                "status": event.data.status.value,
                "reason": event.data.reason,
            }
            limit = self._limits.get("max_reconnection_attempts")
            attempts = session._reconnection_attempts + 1  # noqa: SLF001 - 0.5's name for it
            if event.data.status is SessionStatus.RECONNECTING and limit is not None and attempts > limit:
                yield base | {"type": "reconnection_attempts", "attempts": attempts, "limit": limit}
        if isinstance(event, StatusEvent) and event.data.status is MessageStatus.SENT:
            limit = self._limits.get("max_message_latency_ms")
            began = session.sent_at(event.data.command_id or "")
            latency = None if began is None else round((time.monotonic() - began) * 1000, 1)
            if limit is not None and latency is not None and latency > limit:
                yield base | {"type": "high_latency", "latency": latency, "limit": limit}

    def by_time(self, active: int, sent: int, errors: int) -> Iterator[dict[str, Any]]:
        fewest = self._limits.get("min_active_sessions")
        if self._begins("few_sessions", fewest is not None and active < fewest):
            yield {"type": "few_active_sessions", "active": active, "limit": fewest}
        most = self._limits.get("max_error_rate")
        rate = errors / sent if sent else 0.0
        if self._begins("errors", most is not None and rate > most):
            yield {"type": "high_error_rate", "error_rate": round(rate, 4), "limit": most}

    def _begins(self, name: str, holds: bool) -> bool:
        begins = holds and name not in self._standing
        (self._standing.add if holds else self._standing.discard)(name)
        return begins
