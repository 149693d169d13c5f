"""From the outbox into the events stream: after the commit, and again after a crash, under the same ids."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable

import structlog

from pywhatsweb.contracts import codec, events, subjects
from pywhatsweb.contracts.decoding import decode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.kanban import OutboxRow
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_AT_ONCE = 200


class Outbox:
    """Of every tenant."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        record: Callable[[str], TenantRecord | None],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._record = record
        self._metrics = metrics
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def flush(self, tenant: TenantId) -> None:
        """Publishes what waits, each chat's in order. What cannot be published now waits for the next sweep."""
        record = self._record(tenant)
        if record is None:
            return
        async with self._locks[tenant]:
            rows: list[OutboxRow] = []
            try:
                while True:
                    rows = await self._store.read(kanban.waiting, tenant, _AT_ONCE)
                    if rows:
                        await self._publish(rows, record)
                        await self._store.transact(kanban.published, rows)
                    if len(rows) < _AT_ONCE:
                        return
            except (ApiError, BrokerUnavailable, StorageUnavailable) as error:
                log.warning(
                    "the board's events wait", tenant=tenant, count=len(rows), error=type(error).__name__
                )

    async def _publish(self, rows: list[OutboxRow], record: TenantRecord) -> None:
        submitted = []
        for row in rows:
            event = decode(row.event.encode(), events.AnyEvent)
            headers = events.headers(event, record.events)
            headers["Nats-TTL"] = f"{record.limits.replay_seconds}s"
            subject = subjects.event_ingest(
                TenantId(row.tenant), SessionId(row.session), row.kind, ChatKey(row.chat)
            )
            body = codec.encode(event, record.events)
            submitted.append(await self._publisher.submit(subject, body, headers))
        await asyncio.gather(*submitted)
        for (kind, tenant), number in Counter((row.kind, row.tenant) for row in rows).items():
            self._metrics.board_transitions.labels(kind, self._metrics.tenant(tenant)).inc(number)

    async def sweep(self, every_s: float) -> None:
        """Beside the service: publishes what a replica that died has left."""
        while True:
            with contextlib.suppress(StorageUnavailable):
                for tenant in await self._store.read(kanban.tenants_waiting):
                    await self.flush(TenantId(tenant))
            await asyncio.sleep(every_s)
