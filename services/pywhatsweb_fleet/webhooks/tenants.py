"""Which tenants there are, kept up to date."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 15.0


class Tenants:
    """Made by `following`. ``changed`` is called when there may be others."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self._records: dict[str, TenantRecord] = {}
        self._woken = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._records)

    def record(self, name: str) -> TenantRecord | None:
        return self._records.get(name)

    async def find(self, name: str) -> TenantRecord | None:
        """A tenant's record; the bucket is asked for one that is not known yet."""
        if name not in self._records and subjects.valid_name(name):
            await self.sweep()
        return self.record(name)

    async def sweep(self) -> None:
        """Raises BrokerUnavailable or ApiError."""
        found: dict[str, TenantRecord] = {}
        for entry in await self._bucket.all():
            if entry.value is not None and subjects.valid_name(entry.key):
                try:
                    found[entry.key] = registry.decode_tenant(entry.value)
                except msgspec.MsgspecError:
                    log.error("a tenant's record does not decode; it is not served", tenant=entry.key)  # noqa: TRY400
        self._records = found
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
