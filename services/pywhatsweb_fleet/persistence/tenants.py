"""Which tenants there are, and one ingest for each, while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.persistence.handlers import Deps
from pywhatsweb_fleet.persistence.ingest import Ingest
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.group_commit import group_commit
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 15.0
_STOP_BOUND_S = 15.0


class Tenants:
    """Made by `ingesting`."""

    def __init__(self, bus: Bus, deps: Deps, settings: PersistenceSettings, batch: int) -> None:
        self._bus = bus
        self._deps = deps
        self._settings = settings
        self._batch = batch
        self._bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self._changed = asyncio.Event()
        self._tasks: dict[TenantId, asyncio.Task[None]] = {}
        self.records: dict[TenantId, TenantRecord] = {}
        self.ingests: dict[TenantId, Ingest] = {}

    async def find(self, name: str) -> TenantRecord | None:
        """A tenant's record; the bucket is asked for one that is not known yet."""
        if name not in self.records and subjects.valid_name(name):
            await self.sweep()
        return self.records.get(TenantId(name))

    def forget(self) -> None:
        """Somebody was erased: whoever is seen next is news."""
        self._deps.familiar.forget()

    async def on_change(self, _tenant: str) -> None:
        self._changed.set()

    async def on_reconnect(self) -> None:
        self._changed.set()

    async def sweep(self) -> None:
        """Reads all tenants. Raises BrokerUnavailable or ApiError."""
        found: dict[TenantId, TenantRecord] = {}
        for entry in await self._bucket.all():
            if entry.value is None or not subjects.valid_name(entry.key):
                continue
            try:
                found[TenantId(entry.key)] = registry.decode_tenant(entry.value)
            except msgspec.MsgspecError:
                log.error("a tenant's record does not decode; it is not served", tenant=entry.key)  # noqa: TRY400
        self.records = found
        for tenant in found.keys() - self._tasks.keys():
            self._begin(tenant, found[tenant])
        for tenant in self._tasks.keys() - found.keys():
            self.ingests.pop(tenant).stop()
            del self._tasks[tenant]

    def _begin(self, tenant: TenantId, record: TenantRecord) -> None:
        ingest = self.ingests[tenant] = Ingest(
            self._bus, self._deps, tenant, record, self._settings, batch=self._batch
        )
        self._tasks[tenant] = asyncio.create_task(ingest.run(), name=f"ingest {tenant}")

    async def follow(self) -> None:
        """Runs beside the service; raises what an ingest died of, which is a fault of ours."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            for task in self._tasks.values():
                if task.done() and not task.cancelled():
                    task.result()
            try:
                await self.sweep()
            except (ApiError, BrokerUnavailable) as error:
                log.warning("cannot read the tenants; trying again", error=type(error).__name__)
                await asyncio.sleep(1)
                self._changed.set()

    def problem(self) -> str | None:
        """For the health check: the first ingest that waits."""
        waiting = [ingest.problem for ingest in self.ingests.values() if ingest.problem is not None]
        return f"{len(waiting)} of {len(self.ingests)} tenants wait: {waiting[0]}" if waiting else None

    async def stop(self) -> None:
        """Lets the batches that are under way come to their end, within a bound."""
        if not self._tasks:
            return
        for ingest in self.ingests.values():
            ingest.stop()
        _, late = await asyncio.wait(self._tasks.values(), timeout=_STOP_BOUND_S)
        for task in late:
            task.cancel()


@contextlib.asynccontextmanager
async def ingesting(
    bus: Bus, store: Store, publisher: Publisher, settings: PersistenceSettings, metrics: Metrics
) -> AsyncIterator[Tenants]:
    """Ingests for every tenant that there is, for as long as the block lasts."""
    batch = settings.batch_on(store.dialect)
    async with group_commit(store, most=2 * batch) as group:
        tenants = Tenants(bus, Deps(group, publisher, Familiar(), metrics), settings, batch)
        async with _running(bus, tenants):
            yield tenants


@contextlib.asynccontextmanager
async def _running(bus: Bus, tenants: Tenants) -> AsyncIterator[None]:
    bus.on_reconnect.append(tenants.on_reconnect)
    async with Bucket(bus, streams.TENANTS_BUCKET).hints(tenants.on_change):
        try:
            await tenants.sweep()
            yield
        finally:
            bus.on_reconnect.remove(tenants.on_reconnect)
            await tenants.stop()
