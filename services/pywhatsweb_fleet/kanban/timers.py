"""What is due: a column of the cards, so it survives restarts, and a card's own state says what has fired already.

One replica at a time looks at a tenant's cards (`kanban.try_lock`); the decision and the card's next time are one
transaction, so whoever comes second finds nothing due.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from sqlalchemy import Connection

from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb_fleet.kanban.board import Timer
from pywhatsweb_fleet.kanban.outbox import Outbox
from pywhatsweb_fleet.kanban.recording import Board, Moved
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.tenants import Tenants

log = structlog.get_logger(__name__)

_AT_ONCE = 50


def fire(conn: Connection, tenant: TenantId, key: TenantKey, now: int) -> int:
    """Everything of a tenant that is due, up to a bound; how many cards were looked at."""
    if not kanban.try_lock(conn, tenant):
        return 0
    rows = kanban.cards_due(conn, tenant, now, _AT_ONCE)
    if rows:
        board = Board(conn, tenant, key, now)
        for row in rows:
            board.advance(row.session, row.chat, Timer(now))
    return len(rows)


class Timers:
    """`ring` makes it look at once: the team or a policy has changed."""

    def __init__(self, store: Store, tenants: Tenants, outbox: Outbox) -> None:
        self._store = store
        self._tenants = tenants
        self._outbox = outbox
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def keep(self, every_s: float) -> None:
        while True:
            try:
                await self._round()
            except (StorageUnavailable, Moved) as error:
                log.warning("timers wait for the database", error=type(error).__name__)
            try:
                async with asyncio.timeout(every_s):
                    await self._rung.wait()
            except TimeoutError:
                continue
            self._rung.clear()

    async def _round(self) -> None:
        now = time.time_ns() // 1_000_000
        for name in await self._store.read(kanban.tenants_due, now):
            record = self._tenants.records.get(TenantId(name))
            if record is None:
                continue
            tenant, count = TenantId(name), _AT_ONCE
            while count == _AT_ONCE:
                count = await self._store.transact(fire, tenant, TenantKey(record.key), now)
                await self._outbox.flush(tenant)
