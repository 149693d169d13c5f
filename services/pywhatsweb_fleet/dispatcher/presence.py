"""Whether sessions are there, as their owners last told, and whether those owners live."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb_runtime.registry import NowRecord, SessionRecord

_ENDED: Final = frozenset(
    (SessionStatus.LOGGED_OUT, SessionStatus.REPLACED, SessionStatus.BANNED, SessionStatus.FAILED)
)
"""Which nothing mends but a person."""
_WAITING: Final = frozenset((SessionStatus.STARTING, SessionStatus.RECONNECTING))


class State(NamedTuple):
    """``down``: it should work and does not. ``since``: milliseconds, from when it was so or was not; ``changed``: from
    when it has its status."""

    status: str
    down: bool
    ended: bool
    since: int
    worker: str | None
    reason: str | None
    error: str | None
    changed: int = 0

    @property
    def works(self) -> bool:
        return self.status == SessionStatus.WORKING


class Presence:
    """`learn` is called with what owners tell, `alive` with the workers that live."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], State] = {}
        self._missing: dict[str, int] = {}
        """Workers that own sessions and are gone, with the time since when."""

    def learn(self, key: tuple[str, str], now: NowRecord) -> None:
        ended = now.status in _ENDED and now.error is not None  # without a code it was wished
        down = ended or now.status in _WAITING
        known = self._states.get(key)
        since = known.since if known is not None and known.down == down else now.since or _ms()
        self._states[key] = State(
            now.status, down, ended, since, now.worker, now.reason, now.error, now.since
        )

    def alive(self, workers: Iterable[str]) -> None:
        """Notes which owners are missing, and since when."""
        live = frozenset(workers)
        owners = {state.worker for state in self._states.values() if state.worker and state.works}
        now = _ms()
        self._missing = {worker: self._missing.get(worker, now) for worker in owners - live}

    def of(self, tenant: TenantId, session: str, record: SessionRecord) -> State:
        """A session that is on record; one whose worker is gone is down, whatever that said last."""
        state = self._states.get((tenant, session))
        wanted = record.wanted == "running"
        if state is None:
            return State("STARTING", wanted, False, record.updated_at, None, None, None)
        lost = self._missing.get(state.worker or "") if state.works else None
        if lost is not None:
            return state._replace(down=wanted, since=lost, status="RECONNECTING", reason="worker_lost")
        return state if wanted or state.ended else state._replace(down=False)

    def forget(self, present: Iterator[tuple[str, str]]) -> None:
        """Keeps only sessions that are on record."""
        kept = set(present)
        for key in self._states.keys() - kept:
            del self._states[key]


def _ms() -> int:
    return time.time_ns() // 1_000_000
