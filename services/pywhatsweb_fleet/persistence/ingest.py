"""A tenant's events stream into the record: pull, settle, acknowledge, for as long as the tenant exists.

Nothing is pulled beyond the window while a batch is not settled, so a slow or absent database costs a window of memory
a tenant and delays nobody but this service; the stream keeps the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_fleet.persistence.handlers import Arrived, Deps, settle
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.group_commit import group_commit
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import provision, tracing
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.puller import Delivery, Puller, pulling
from pywhatsweb_runtime.registry import TenantRecord
from pywhatsweb_runtime.tenants import PerTenant, Tenants

log = structlog.get_logger(__name__)

DURABLE: Final = streams.RECORDER
_LANES: Final = 2
"""Batches at once: one is decoded while the other is being committed."""
_LEAST_WINDOW: Final = 1000
"""Messages asked for ahead, so that a small batch does not wait for the broker's answer."""
_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 2.0


def consumer(tenant: TenantId, window: int, ack_wait_s: float) -> dict[str, Any]:
    """Replicas share the work: each takes a part, in any order, and acknowledges what it has committed."""
    return {
        "durable_name": DURABLE,
        "filter_subject": subjects.event(tenant, SessionId("*"), "*", ChatKey("*")),
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_s * streams.NS),
        "max_ack_pending": 16 * window,
        "deliver_policy": "all",
    }


class Ingest:
    """Of one tenant. `problem` is what keeps it from working just now, for the health check."""

    def __init__(
        self,
        bus: Bus,
        deps: Deps,
        tenant: TenantId,
        record: TenantRecord,
        settings: PersistenceSettings,
        *,
        batch: int,
    ) -> None:
        """``batch``: events that are settled together, at most."""
        self._bus = bus
        self._deps = deps
        self._tenant = tenant
        self._record = record
        self._batch = batch
        self._pace_s = settings.pace_s
        self._taken_at = 0.0
        self._ack_wait_s = settings.ack_wait_s
        self.problem: str | None = None
        self.settled = 0
        self._stop = asyncio.Event()
        self._taking = asyncio.Lock()
        self._busy: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Makes `run` end: at once, or when the batches that are under way are acknowledged."""
        self._stop.set()

    async def run(self) -> None:
        """Until stopped or cancelled; a batch that is not settled then is delivered again, to whoever is there."""
        stream = streams.events_name(self._tenant)
        window = max(2 * self._batch, _LEAST_WINDOW)
        config = consumer(self._tenant, window, self._ack_wait_s)
        if not await self._patiently(partial(provision.ensure_consumer, self._bus, stream, config)):
            return
        async with pulling(self._bus, stream, DURABLE, window=window) as puller:
            stopped = asyncio.create_task(self._stop.wait())
            lanes = [asyncio.create_task(self._lane(puller)) for _ in range(_LANES)]
            try:
                await asyncio.wait([stopped, *lanes], return_when=asyncio.FIRST_COMPLETED)
                self._stop.set()  # if a lane failed, the others come to their end too
                while self._busy:
                    await asyncio.wait(self._busy)
                for lane in lanes:
                    if lane.done():
                        lane.result()
            finally:
                for task in (stopped, *lanes):
                    task.cancel()
                await asyncio.wait(lanes)
                await puller.give_back()

    async def _lane(self, puller: Puller) -> None:
        myself = asyncio.current_task()
        assert myself is not None  # noqa: S101 - a coroutine runs in a task
        while not self._stop.is_set():
            messages = await self._take(puller)
            self._busy.add(myself)
            try:
                arrived = [Arrived(message.subject, message.data, message.reply) for message in messages]
                if not await self._patiently(partial(self._settle, arrived)):
                    puller.take_back(messages)
                    return
                self._deps.metrics.ingest_lag.observe(max(0.0, time.time() - messages[0].stored_at))
                if tracing.exporting():
                    self._trace(messages)
                puller.acks(messages)
                self.settled += len(messages)
            finally:
                self._busy.discard(myself)

    def _trace(self, messages: Sequence[Delivery]) -> None:
        """Of each event of a traced command: from its place in the stream to the commit."""
        for message in messages:
            if parent := tracing.known(message.headers.get(tracing.HEADER)):
                subject = subjects.parse_event(message.subject)
                names = {"tenant": self._tenant, "event": subject.kind if subject is not None else ""}
                with tracing.span("record", parent, names, began=message.stored_at):
                    pass

    async def _take(self, puller: Puller) -> list[Delivery]:
        """A batch: full, or what came since the last one was taken; the first event after a pause does not wait."""
        loop = asyncio.get_running_loop()
        async with self._taking:
            messages = await puller.batch(
                self._batch, fill_s=min(self._pace_s, self._taken_at + self._pace_s - loop.time())
            )
            self._taken_at = loop.time()
        return messages

    async def _settle(self, arrived: Sequence[Arrived]) -> None:
        await settle(self._deps, self._tenant, self._record, arrived)

    async def _patiently(self, act: Callable[[], Awaitable[None]]) -> bool:
        """``act`` until it succeeds (what it waits for comes back by itself or by an operator); False when stopped."""
        delay = _FIRST_PAUSE_S
        while True:
            try:
                await act()
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError) as error:
                problem = str(error) if isinstance(error, StorageUnavailable) else type(error).__name__
                if self.problem is None:
                    log.warning("ingest waits", tenant=self._tenant, problem=problem)
                self.problem = problem
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):
                        await self._stop.wait()
                if self._stop.is_set():
                    return False
                delay = min(delay * 2, _LAST_PAUSE_S)
            else:
                if self.problem is not None:
                    log.info("ingest goes on", tenant=self._tenant)
                self.problem = None
                return True


@contextlib.asynccontextmanager
async def ingesting(  # noqa: PLR0917 - wired in one place
    bus: Bus,
    store: Store,
    publisher: Publisher,
    tenants: Tenants,
    familiar: Familiar,
    settings: PersistenceSettings,
    metrics: Metrics,
) -> AsyncIterator[PerTenant[Ingest]]:
    """An ingest for every tenant that there is, for as long as the block lasts."""
    batch = settings.batch_on(store.dialect)
    async with group_commit(store, most=2 * batch) as group:
        deps = Deps(group, publisher, familiar, metrics)

        def begin(tenant: TenantId, record: TenantRecord) -> Ingest:
            return Ingest(bus, deps, tenant, record, settings, batch=batch)

        async with PerTenant(tenants, begin) as ingests:
            yield ingests
