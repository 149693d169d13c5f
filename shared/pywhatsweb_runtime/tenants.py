"""Which tenants there are, kept up to date, and what a service runs for each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 15.0
_STOP_BOUND_S = 15.0


class Tenants:
    """Made by `following`. ``changed`` is called when there may be others."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self._woken = asyncio.Event()
        self.records: dict[TenantId, TenantRecord] = {}
        self.changed: Callable[[], None] = lambda: None

    def record(self, name: str) -> TenantRecord | None:
        return self.records.get(TenantId(name))

    async def find(self, name: str) -> TenantRecord | None:
        """A tenant's record; the bucket is asked for one that is not known yet."""
        if name not in self.records and subjects.valid_name(name):
            await self.sweep()
        return self.record(name)

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
        self.changed()

    async def on_change(self, _tenant: str) -> None:
        self._woken.set()

    async def on_reconnect(self) -> None:
        self._woken.set()

    async def follow(self) -> None:
        """Beside the service."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_EVERY_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.sweep()
            except (ApiError, BrokerUnavailable) as error:
                log.warning("cannot read the tenants; trying again", error=type(error).__name__)
                await asyncio.sleep(1)
                self._woken.set()


@contextlib.asynccontextmanager
async def following(bus: Bus) -> AsyncIterator[Tenants]:
    """The tenants, for as long as the block lasts; raises as `Tenants.sweep`."""
    tenants = Tenants(bus)
    bus.on_reconnect.append(tenants.on_reconnect)
    async with Bucket(bus, streams.TENANTS_BUCKET).hints(tenants.on_change):
        try:
            await tenants.sweep()
            yield tenants
        finally:
            bus.on_reconnect.remove(tenants.on_reconnect)


class Work(Protocol):
    """What goes on for one tenant. `problem` is what keeps it from working just now."""

    problem: str | None

    async def run(self) -> None:
        """Until `stop`, with care of every error that it can outlive."""

    def stop(self) -> None:
        """Makes `run` end, after what is under way."""


WorkT = TypeVar("WorkT", bound=Work)


class PerTenant(Generic[WorkT]):
    """A work for each tenant, begun and stopped as they come and go. A context manager: at its end each has ended."""

    def __init__(self, tenants: Tenants, begin: Callable[[TenantId, TenantRecord], WorkT]) -> None:
        self._tenants = tenants
        self._begin = begin
        self._tasks: dict[TenantId, asyncio.Task[None]] = {}
        self._died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.works: dict[TenantId, WorkT] = {}

    async def __aenter__(self) -> PerTenant[WorkT]:
        self._tenants.changed = self._match
        self._match()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tenants.changed = lambda: None
        self._died.cancel()
        await self._stop()

    def _match(self) -> None:
        present = self._tenants.records
        for tenant in present.keys() - self._tasks.keys():
            work = self.works[tenant] = self._begin(tenant, present[tenant])
            task = self._tasks[tenant] = asyncio.create_task(
                work.run(), name=f"{type(work).__name__} {tenant}"
            )
            task.add_done_callback(self._ended)
        for tenant in self._tasks.keys() - present.keys():
            self.works.pop(tenant).stop()
            del self._tasks[tenant]

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._died.done():
            self._died.set_exception(error)

    async def watch(self) -> None:
        """Beside the service; raises what a work died of, which is a fault of ours."""
        await asyncio.shield(self._died)

    def problem(self) -> str | None:
        """For the health check: the first one that waits."""
        waiting = [work.problem for work in self.works.values() if work.problem is not None]
        return f"{len(waiting)} of {len(self.works)} tenants wait: {waiting[0]}" if waiting else None

    async def _stop(self) -> None:
        """Lets what is under way come to its end, within a bound."""
        for work in self.works.values():
            work.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=_STOP_BOUND_S)
            for task in late:
                task.cancel()
