"""Opt-outs, looked at once more before a command that waited in its queue is sent.

The dispatcher refuses what is for somebody who opted out before it is queued. What waits there when the opt-out comes
(a bulk behind its pacing, an offline session's queue) is held against it here. One that waited for less than `FRESH_MS`
is not: it was looked at a moment ago.
"""

from __future__ import annotations

import time
from typing import Final

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.storage import optouts
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store

FRESH_MS: Final = 1000
_NONE_FOR_S: Final = 1.0
"""A tenant that has no opt-out at all is not asked about again so soon."""


class OptOuts:
    """Of a worker's sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._none_until: dict[str, float] = {}

    async def forbid(
        self, tenant: str, key: TenantKey, session: str, queued: Queued, *, marketing: bool
    ) -> bool:
        """Whether the command must not be sent any more.

        When the database does not answer, an answer goes, as it was accepted, and marketing waits: StorageUnavailable.
        """
        now_ms = time.time_ns() // 1_000_000
        if now_ms - queued.accepted_at < FRESH_MS or not queued.recipient.startswith(("pn:", "lid:")):
            return False
        wish = optouts.Wish(queued.recipient, session, marketing)
        try:
            if await self._has_none(tenant):
                return False
            return bool(await self._store.read(optouts.blocked, tenant, key, [wish], now_ms))
        except StorageUnavailable:
            if marketing:
                raise
            return False

    async def _has_none(self, tenant: str) -> bool:
        if self._none_until.get(tenant, 0.0) > time.monotonic():
            return True
        if await self._store.read(optouts.any_of, tenant):
            self._none_until.pop(tenant, None)
            return False
        self._none_until[tenant] = time.monotonic() + _NONE_FOR_S
        return True
