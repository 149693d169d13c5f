"""Which sessions this worker takes and gives back now, from what it sees of the fleet."""

from __future__ import annotations

import random
import time
from collections.abc import Collection

from pywhatsweb_fleet.session_worker import placement
from pywhatsweb_fleet.session_worker.liveness import Liveness
from pywhatsweb_fleet.session_worker.placement import SessionKey
from pywhatsweb_fleet.session_worker.views import Views

_AT_ONCE = 64
"""So few that the worker's own liveness is renewed in between, however slow the machine is."""
_NOBODY_TAKES_S = 10.0
_FIRST_GIFT_S = 5.0


class Placing:
    """Of one worker."""

    def __init__(
        self,
        me: str,
        engines: Collection[str],
        views: Views,
        liveness: Liveness,
        *,
        most: int,
        rebalance_per_second: float,
    ) -> None:
        """``most`` sessions of ``engines`` are held; at most ``rebalance_per_second`` are given (0: none)."""
        self._me = me
        self._engines = engines
        self._views = views
        self._liveness = liveness
        self._most = most
        self._rate = rebalance_per_second
        self._wanted: dict[str, list[SessionKey]] = {}
        """Sessions that need an owner, by those engines that run here."""
        self._free_since: dict[SessionKey, float] = {}
        self._next_give = time.monotonic() + _FIRST_GIFT_S

    def look(self, held: Collection[SessionKey], moving: Collection[SessionKey]) -> None:
        """What is wanted and what is free, and since when. ``moving``: a change of them is under way here."""
        self._wanted = {}
        for key, record in self._views.sessions.items():
            if record.wanted != "stopped" and record.engine in self._engines:
                self._wanted.setdefault(record.engine, []).append(key)
        now = time.monotonic()
        self._free_since = {
            key: self._free_since.get(key, now)
            for keys in self._wanted.values()
            for key in keys
            if key not in held and key not in moving and self.is_free(key)
        }

    def to_take(self, held: Collection[SessionKey]) -> list[SessionKey]:
        """As of the last look."""
        room = min(_AT_ONCE, self._most - len(held))
        chosen: list[SessionKey] = []
        for engine, keys in self._wanted.items():
            workers = [self._me, *self._others(engine)]
            mine = sum(key in held for key in keys)
            free = [key for key in keys if key in self._free_since]
            chosen += placement.to_take(free, mine, self._me, workers, len(keys), most=room - len(chosen))
        # Without regard to shares: what an earlier process of this id owned (nobody else takes it while this one
        # lives), and what nobody takes, because the others are full or cannot.
        late = time.monotonic() - _NOBODY_TAKES_S
        due = (key for key, since in self._free_since.items() if since < late or self._was_mine(key))
        return list(dict.fromkeys([*chosen, *due]))[: max(0, room)]

    def to_give(self, held: Collection[SessionKey], moving: Collection[SessionKey]) -> list[SessionKey]:
        """As of the last look: at most one, and none too soon after the one before."""
        if self._rate <= 0 or time.monotonic() < self._next_give:
            return []
        for engine, keys in self._wanted.items():
            excess = self._excess(engine, keys, held)
            if excess and excess[0] not in moving:
                self._next_give = time.monotonic() + random.uniform(0.7, 1.3) / self._rate
                return excess[:1]
        return []

    def _excess(
        self, engine: str, wanted: list[SessionKey], held: Collection[SessionKey]
    ) -> list[SessionKey]:
        loads = dict.fromkeys(self._others(engine), 0)
        for key in wanted:
            owner = self._views.owners.get(key)
            if owner is not None and owner.worker in loads:
                loads[owner.worker] += 1
        settled = [key for key in wanted if key in held]
        loads[self._me] = len(settled)
        return placement.to_give(settled, self._me, loads, len(wanted))

    def is_free(self, key: SessionKey) -> bool:
        """Whether its tenant may have it open and no living worker owns it."""
        tenant = self._views.tenants.get(key[0])
        if tenant is None or tenant.suspended:
            return False
        owner = self._views.owners.get(key)
        if owner is None or owner.worker is None or owner.worker == self._me:
            return True
        return not self._liveness.alive(owner.worker)

    def _others(self, engine: str) -> list[str]:
        peers = self._liveness.peers()
        return [name for name, record in peers.items() if not record.draining and engine in record.engines]

    def _was_mine(self, key: SessionKey) -> bool:
        owner = self._views.owners.get(key)
        return owner is not None and owner.worker == self._me
