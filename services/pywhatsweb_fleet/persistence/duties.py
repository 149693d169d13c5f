"""Work that one replica at a time does: who took it last has it until they leave it, or are dead for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.storage import law
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import lifecycle
from pywhatsweb_runtime.registry import TenantRecord

HELD_S: Final = 12.0
_RENEW_S: Final = 3.0


class Known(Protocol):
    """Who knows the tenants."""

    @property
    def records(self) -> Mapping[TenantId, TenantRecord]:
        """All of them, now."""


class Duty:
    """``holder`` is this process, as no other calls itself."""

    def __init__(self, store: Store, name: str, holder: str) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._until = float("-inf")

    async def hold(self) -> bool:
        """Takes or renews it; False: another has it. Raises StorageUnavailable."""
        began = time.monotonic()
        now = time.time_ns() // 1_000_000
        until = now + round(HELD_S * 1000)
        held = await self._store.transact(law.take_duty, self._name, self._holder, now, until)
        self._until = began + HELD_S if held else float("-inf")
        return held

    async def while_held(self, work: Coroutine[Any, Any, None]) -> None:
        """Does the work as long as the duty can be renewed; it is broken off when it cannot."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=_RENEW_S)
                if not task.done() and not await self._renewed():
                    raise StorageUnavailable(f"the duty {self._name} was lost")
            task.result()
        finally:
            await lifecycle.end(task)

    async def _renewed(self) -> bool:
        try:
            return await self.hold()
        except StorageUnavailable:
            return time.monotonic() < self._until - _RENEW_S

    async def leave(self) -> None:
        """So that another need not wait."""
        with contextlib.suppress(StorageUnavailable):
            await self._store.transact(law.leave_duty, self._name, self._holder)
