"""From the outbox into the events stream: after the commit, and again after a crash, under the same ids."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable

import msgspec
import structlog

from pywhatsweb.contracts import codec, events, subjects
from pywhatsweb.contracts.decoding import decode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.rule_data import TARGET_HEADER
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.kanban import ActionRow, OutboxRow
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
            try:
                while rows := await self._store.read(kanban.waiting, tenant, _AT_ONCE):
                    await self._publish(rows, record)
                    await self._store.transact(kanban.published, rows)
                while actions := await self._store.read(kanban.actions_waiting, tenant, _AT_ONCE):
                    await self._act(actions, record)
                    await self._store.transact(kanban.actions_published, actions)
            except (ApiError, BrokerUnavailable, StorageUnavailable) as error:
                log.warning("the board's events wait", tenant=tenant, error=type(error).__name__)

    async def _publish(self, rows: list[OutboxRow], record: TenantRecord) -> None:
        submitted = [await self._publisher.submit(*_letter(row, row.kind, row.event, record)) for row in rows]
        await asyncio.gather(*submitted)
        for (kind, tenant), number in Counter((row.kind, row.tenant) for row in rows).items():
            self._metrics.board_transitions.labels(kind, self._metrics.tenant(tenant)).inc(number)

    async def _act(self, rows: list[ActionRow], record: TenantRecord) -> None:
        submitted = []
        for row in rows:
            if row.kind == "send":
                command = msgspec.json.decode(row.body)
                subject = subjects.command(TenantId(row.tenant), SessionId(row.session), "send")
                letter = (subject, row.body.encode(), {"Nats-Msg-Id": command["id"]})
            else:
                letter = _letter(row, row.kind, row.body, record)
                if row.webhook:
                    letter[2][TARGET_HEADER] = row.webhook
            submitted.append(await self._publisher.submit(*letter))
        await asyncio.gather(*submitted)

    async def sweep(self, every_s: float) -> None:
        """Beside the service: publishes what a replica that died has left."""
        while True:
            with contextlib.suppress(StorageUnavailable):
                for tenant in await self._store.read(kanban.tenants_waiting):
                    await self.flush(TenantId(tenant))
            await asyncio.sleep(every_s)


def _letter(
    row: OutboxRow | ActionRow, kind: str, event_json: str, record: TenantRecord
) -> tuple[str, bytes, dict[str, str]]:
    """An event's subject, body and headers."""
    event = decode(event_json.encode(), events.AnyEvent)
    headers = events.headers(event, record.events)
    headers["Nats-TTL"] = f"{record.limits.replay_seconds}s"
    subject = subjects.event_ingest(TenantId(row.tenant), SessionId(row.session), kind, ChatKey(row.chat))
    return subject, codec.encode(event, record.events), headers
