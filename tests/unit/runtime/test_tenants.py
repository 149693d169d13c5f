"""What a service runs for each tenant, as they come and go."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime.registry import TenantRecord
from pywhatsweb_runtime.tenants import PerTenant

ACME, RIVAL, NEWCOMER = TenantId("acme"), TenantId("rival"), TenantId("newcomer")


class Work:
    def __init__(self, tenant: str) -> None:
        self.problem: str | None = None
        self.ended = False
        self._stopping = asyncio.Event()
        self.fault: Exception | None = None
        self._tenant = tenant

    async def run(self) -> None:
        await self._stopping.wait()
        if self.fault is not None:
            raise self.fault
        self.ended = True

    def stop(self) -> None:
        self._stopping.set()


def tenants_of(*names: str) -> Any:
    return SimpleNamespace(records=dict.fromkeys(names), changed=lambda: None)


def begin(tenant: str, _record: TenantRecord) -> Work:
    return Work(tenant)


async def test_a_work_is_begun_and_stopped_with_its_tenant() -> None:
    """At the end of the block each has ended."""
    tenants = tenants_of(ACME, RIVAL)
    async with PerTenant(tenants, begin) as works:
        acme, rival = works.works[ACME], works.works[RIVAL]
        tenants.records = dict.fromkeys((RIVAL, NEWCOMER))
        tenants.changed()
        assert works.works.keys() == {RIVAL, NEWCOMER}
        assert works.works[RIVAL] is rival
        newcomer = works.works[NEWCOMER]
        newcomer.problem = "the database is away"
        assert works.problem() == "1 of 2 tenants wait: the database is away"
    assert [work.ended for work in (acme, rival, newcomer)] == [True] * 3


async def test_what_a_work_dies_of_ends_the_service() -> None:
    """Once the others were stopped."""
    async with PerTenant(tenants_of(ACME, RIVAL), begin) as works:
        works.works[ACME].fault = ZeroDivisionError("a fault of ours")
        works.works[ACME].stop()
        with pytest.raises(ZeroDivisionError):
            await works.watch()
    assert works.works[RIVAL].ended
