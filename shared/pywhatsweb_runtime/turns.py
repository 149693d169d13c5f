"""Turns between tenants, of what a process does only so much of at a time: who asks for a thousand waits for its own.

Within a tenant it is first come, first served. A turn that its holder was cancelled for goes to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """So many places; a free one goes to the tenant whose last turn is the longest ago."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By tenant; the first of the dictionary is next."""

    @contextlib.asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """A place for as long as the block lasts."""
        await self.take(tenant)
        try:
            yield
        finally:
            self.give_back()

    async def take(self, tenant: str) -> None:
        """A place, to be given back."""
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it had just been given
                self.give_back()
            raise

    def give_back(self) -> None:
        while self._waiting:
            tenant = next(iter(self._waiting))
            line = self._waiting.pop(tenant)
            while line and line[0].cancelled():
                line.popleft()
            if line:
                line.popleft().set_result(None)
                if line:
                    self._waiting[tenant] = line  # behind the others
                return
        self._free += 1


class Pace:
    """So many turns a second, spaced out; 0: as many as are asked for."""

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1 / per_second if per_second > 0 else 0.0
        self._next = 0.0
        self._turns = Turns(1)

    async def turn(self, tenant: str) -> None:
        """Returns when it is one's turn."""
        if not self._gap_s:
            return
        async with self._turns.turn(tenant):
            now = time.monotonic()
            at = self._next = max(self._next + self._gap_s, now)
            if at > now:
                await asyncio.sleep((at - now) * random.uniform(0.9, 1.1))
