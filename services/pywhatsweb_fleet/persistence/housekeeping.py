"""What the record needs done now and then: months made ahead, expired idempotency records forgotten."""

from __future__ import annotations

import asyncio
import time

import structlog

from pywhatsweb_fleet.storage import idempotency, inboxes, partitions, usage
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store

log = structlog.get_logger(__name__)

_AT_ONCE = 1000
_REACHED_MS = 90 * usage.DAY_MS
"""Whom a tenant wrote to is among its chats long before."""
_BREATH_S = 0.05
"""Between two deletions, so that ingest has its turn."""


async def keep(store: Store, every_s: float) -> None:
    """Runs beside the service; what fails is done the next time."""
    while True:
        try:
            await once(store)
        except StorageUnavailable:
            log.warning("housekeeping waits for the database")
        await asyncio.sleep(every_s)


async def once(store: Store) -> None:
    now = time.time_ns() // 1_000_000
    if made := await store.transact(partitions.make_ahead, now):
        log.info("months made ahead", count=len(made))
    for forget, before in (
        (idempotency.expire, now),
        (inboxes.expire, now),
        (usage.forget_reached, now - _REACHED_MS),
        (usage.forget_reached_by, now - _REACHED_MS),
    ):
        removed = _AT_ONCE
        while removed == _AT_ONCE:
            removed = await store.transact(forget, before, _AT_ONCE)
            await asyncio.sleep(_BREATH_S)
