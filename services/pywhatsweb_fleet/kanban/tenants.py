"""Which tenants there are, and one ingest for each, while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_fleet.kanban.handlers import KINDS
from pywhatsweb_fleet.kanban.ingest import Deps, Ingest
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 15.0
_STOP_BOUND_S = 15.0


class Tenants:
    """Made by `ingesting`."""

    def __init__(self, bus: Bus, deps: Deps, settings: KanbanSettings) -> None:
        self._deps = deps
        self._settings = settings
        self._bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self._changed = asyncio.Event()
        self._tasks: dict[TenantId, asyncio.Task[None]] = {}
        self._ingests: dict[TenantId, Ingest] = {}
        self.records: dict[TenantId, TenantRecord] = {}

    def record(self, name: str) -> TenantRecord | None:
        return self.records.get(TenantId(name))

    async def find(self, name: str) -> TenantRecord | None:
        """A tenant's record; the bucket is asked for one that is not known yet."""
        if name not in self.records and subjects.valid_name(name):
            await self.sweep()
        return self.record(name)

    async def on_change(self, _tenant: str) -> None:
        self._changed.set()

    async def on_reconnect(self) -> None:
        self._changed.set()
        for ingest in self._ingests.values():
            ingest.look_anew()

    def on_event(self, subject: bytes, _reply: bytes, _headers: bytes, _data: bytes) -> None:
        """A hint that a tenant's stream has something for the board."""
        ingest = self._ingests.get(TenantId(subject.split(b".", 3)[2].decode()))
        if ingest is not None:
            ingest.wake()

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
            ingest = Ingest(self._deps, tenant, found[tenant], self._settings)
            self._ingests[tenant] = ingest
            self._tasks[tenant] = asyncio.create_task(ingest.run(), name=f"board {tenant}")
        for tenant in self._tasks.keys() - found.keys():
            self._ingests.pop(tenant).stop()
            del self._tasks[tenant]

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
        waiting = [ingest.problem for ingest in self._ingests.values() if ingest.problem is not None]
        return f"{len(waiting)} of {len(self._ingests)} tenants wait: {waiting[0]}" if waiting else None

    async def stop(self) -> None:
        """Lets the batches that are under way come to their end, within a bound."""
        if not self._tasks:
            return
        for ingest in self._ingests.values():
            ingest.stop()
        _, late = await asyncio.wait(self._tasks.values(), timeout=_STOP_BOUND_S)
        for task in late:
            task.cancel()


@contextlib.asynccontextmanager
async def ingesting(bus: Bus, deps: Deps, settings: KanbanSettings) -> AsyncIterator[Tenants]:
    """The tenants, for as long as the block lasts; `Tenants.sweep` begins with those that there are."""
    tenants = Tenants(bus, deps, settings)
    bus.on_reconnect.append(tenants.on_reconnect)
    async with contextlib.AsyncExitStack() as stack:
        for kind in KINDS:
            hints = subjects.event(TenantId("*"), SessionId("*"), kind, ChatKey("*"))
            await stack.enter_async_context(bus.client.sinking(hints, tenants.on_event))
        await stack.enter_async_context(Bucket(bus, streams.TENANTS_BUCKET).hints(tenants.on_change))
        try:
            yield tenants
        finally:
            bus.on_reconnect.remove(tenants.on_reconnect)
            await tenants.stop()
