"""An intake for the commands of each tenant, and one for those that have become due."""

from __future__ import annotations

import asyncio
from types import TracebackType

import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.dispatcher.dispatching import Dispatching
from pywhatsweb_fleet.dispatcher.due import Due
from pywhatsweb_fleet.dispatcher.intake import Handle, Intake
from pywhatsweb_fleet.dispatcher.replicas import Replicas
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_fleet.dispatcher.stalls import StallWatch
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_runtime import lifecycle, provision
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

log = structlog.get_logger(__name__)

_CHECK_EVERY_S = 0.5
_RETRY_S = 2.0
_STOP_BOUND_S = 15.0
_MADE_AT_ONCE = 16
SHARE_EVERY_S = 10.0
_GIVEN_AT_ONCE = 50
_STEP_S = 0.5
"""How much later than the next better one a replica begins to pull."""


class _Served:
    def __init__(self, intakes: list[Intake]) -> None:
        self.intakes = intakes
        self.tasks = [asyncio.create_task(intake.serve()) for intake in intakes]

    @property
    def pinned(self) -> bool:
        """Whether a pin is held for one of the intakes, as far as is known here."""
        return any(intake.pinned for intake in self.intakes)

    @property
    def ended(self) -> bool:
        """Whether an intake has ended by itself, which takes an error outside of its own care."""
        return any(task.done() for task in self.tasks)

    async def stop(self) -> None:
        for intake in self.intakes:
            intake.stopping.set()
        _done, late = await asyncio.wait(self.tasks, timeout=_STOP_BOUND_S)
        await lifecycle.end(*late)
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Tenants:
    """A context manager: at its end every tenant is finished and handed over."""

    def __init__(
        self, deps: Deps, stalls: StallWatch, replicas: Replicas, settings: DispatcherSettings
    ) -> None:
        self._deps = deps
        self._stalls = stalls
        self._replicas = replicas
        self._settings = settings
        self._served: dict[TenantId, _Served] = {}
        self._limits: dict[TenantId, streams.TenantLimits] = {}

    async def __aenter__(self) -> Tenants:
        await self._follow()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(served.stop() for served in self._served.values()))

    def pinned(self) -> list[TenantId]:
        """Those whose commands this replica takes, as far as is known here."""
        return [tenant for tenant, served in self._served.items() if served.pinned]

    async def follow_for_ever(self) -> None:
        """Serves tenants that come and drops those that go."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            if self._is_due():
                await self._follow()
                if self._is_due():
                    await asyncio.sleep(_RETRY_S)  # a tenant that cannot be served yet

    def _is_due(self) -> bool:
        """Whether something differs from what is served: cheap, for it is asked all the time."""
        present = self._deps.directory.tenants
        return present.keys() != self._served.keys() or any(
            self._limits.get(tenant) != view.record.limits or self._served[tenant].ended
            for tenant, view in present.items()
        )

    async def _follow(self) -> None:
        present = self._deps.directory.tenants
        for tenant in [tenant for tenant in self._served if tenant not in present]:
            await self._served.pop(tenant).stop()
            self._limits.pop(tenant, None)
            log.info("tenant gone", tenant=tenant)
        room = asyncio.Semaphore(_MADE_AT_ONCE)
        await asyncio.gather(
            *(self._attend(tenant, view.record.limits, room) for tenant, view in present.items())
        )

    async def _attend(self, tenant: TenantId, limits: streams.TenantLimits, room: asyncio.Semaphore) -> None:
        """Makes or changes what the tenant needs, if it is not as it should be, and serves it."""
        served = self._served.get(tenant)
        if served is not None and served.ended:
            log.error("an intake has ended; beginning anew", tenant=tenant)
            await self._served.pop(tenant).stop()
        if self._limits.get(tenant) != limits:
            async with room:
                try:
                    await provision.ensure_tenant(self._deps.bus, tenant, limits, self._settings.replicas)
                except (ApiError, BrokerUnavailable) as error:
                    log.warning(
                        "a tenant's streams cannot be made yet", tenant=tenant, error=type(error).__name__
                    )
                    return
            self._limits[tenant] = limits
        if tenant not in self._served:
            self._served[tenant] = self._serve(tenant)

    async def share_for_ever(self) -> None:
        """Gives tenants back that another live replica should have: it is pulling already, and gets the pin at once."""
        while True:
            await asyncio.sleep(SHARE_EVERY_S)
            await self._replicas.look()
            if not self._replicas.settled:
                continue
            owed = [t for t, served in self._served.items() if served.pinned and self._replicas.rank(t) > 0]
            for tenant in owed[:_GIVEN_AT_ONCE]:
                served = self._served.get(tenant)
                if served is None:
                    continue
                await served.stop()
                if self._served.get(tenant) is served:
                    self._served[tenant] = self._serve(tenant)

    def _serve(self, tenant: TenantId) -> _Served:
        after_s = self._replicas.rank(tenant) * _STEP_S
        commands = self._intake(
            streams.commands_name(tenant),
            subjects.all_commands(tenant),
            Dispatching(tenant, self._deps).handle,
            after_s,
        )
        due = self._intake(
            streams.schedules_name(tenant), subjects.all_due(tenant), Due(tenant, self._deps).handle, after_s
        )
        return _Served([commands, due])

    def _intake(self, stream: str, subject: str, handle: Handle, after_s: float) -> Intake:
        return Intake(
            self._deps.bus,
            stream,
            subject,
            handle=handle,
            stalls=self._stalls,
            stale_after_s=self._settings.stale_after_s,
            after_s=after_s,
        )
