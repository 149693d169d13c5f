"""A tenant with a long backlog, and one with a single event: counted in commits, at a database with a gate."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.persistence.ingest import ingesting
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.tenants import following
from tests.integration.persistence import traffic
from tests.support import NatsServer, wait_until

ACME, RIVAL = TenantId("acme"), TenantId("rival")
BATCH = 50
BACKLOG = 600


class Gated:
    """A store whose commits wait until the gate is open, and are written down: events of each tenant."""

    def __init__(self, store: Store) -> None:
        self.dialect = store.dialect
        self.open = asyncio.Event()
        self.commits: list[Counter[str]] = []
        self._store = store

    async def transact(self, fn: Any, batch: Any) -> Any:
        await self.open.wait()
        done = await self._store.transact(fn, batch)
        commit: Counter[str] = Counter()
        for write in batch:
            commit[next(iter(write.args[0].messages.values())).tenant] += write.weight
        self.commits.append(commit)
        return done


def total(gated: Gated) -> Counter[str]:
    return sum(gated.commits, Counter[str]())


async def test_one_event_is_recorded_beside_another_tenants_backlog(
    bus: Bus, publisher: Publisher, nats_server: NatsServer, tmp_path: Path
) -> None:
    """It is in the next commit: what is before it are the flood's two batches under way, however long its backlog."""
    await traffic.make_tenant(bus, "rival")
    await traffic.publish(publisher, *(traffic.message(n) for n in range(BACKLOG)))
    store = open_store(f"sqlite:///{tmp_path}/record.db")
    settings = PersistenceSettings(nats_url=nats_server.url, batch=BATCH)
    try:
        await store.migrate()
        gated: Any = Gated(store)
        async with (
            following(bus) as tenants,
            ingesting(bus, gated, publisher, tenants, Familiar(), settings, Metrics("none")) as ingests,
        ):
            await wait_until(lambda: len(ingests.works[ACME]._busy) == 2, 30, message="the flood waits")
            await traffic.publish(
                publisher, msgspec.structs.replace(traffic.message(1), tenant_id="rival"), tenant="rival"
            )
            await wait_until(lambda: len(ingests.works[RIVAL]._busy) == 1, 30, message="the other one too")
            gated.open.set()
            await wait_until(lambda: total(gated)["acme"] == BACKLOG, 60)
        before = [commit["acme"] for commit in gated.commits[: _first(gated.commits, "rival") + 1]]
        assert sum(before) <= 2 * BATCH
        assert total(gated) == {"acme": BACKLOG, "rival": 1}
    finally:
        await store.close()


def _first(commits: list[Counter[str]], tenant: str) -> int:
    return next(number for number, commit in enumerate(commits) if commit[tenant])
