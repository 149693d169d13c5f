"""An ingest for each tenant that there is, woken by what comes for the board."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_fleet.kanban.handlers import KINDS
from pywhatsweb_fleet.kanban.ingest import Deps, Ingest
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_runtime.tenants import PerTenant, Tenants


@contextlib.asynccontextmanager
async def ingesting(
    tenants: Tenants, deps: Deps, settings: KanbanSettings
) -> AsyncIterator[PerTenant[Ingest]]:
    """The ingests, for as long as the block lasts."""
    ingests = PerTenant(tenants, lambda tenant, record: Ingest(deps, tenant, record, settings))

    def wake(subject: bytes, _reply: bytes, _headers: bytes, _data: bytes) -> None:
        ingest = ingests.works.get(TenantId(subject.split(b".", 3)[2].decode()))
        if ingest is not None:
            ingest.wake()

    async def look_anew() -> None:
        for ingest in ingests.works.values():
            ingest.look_anew()

    async with contextlib.AsyncExitStack() as stack:
        deps.bus.on_reconnect.append(look_anew)
        stack.callback(deps.bus.on_reconnect.remove, look_anew)
        for kind in KINDS:
            hints = subjects.event(TenantId("*"), SessionId("*"), kind, ChatKey("*"))
            await stack.enter_async_context(deps.bus.client.sinking(hints, wake))
        yield await stack.enter_async_context(ingests)
