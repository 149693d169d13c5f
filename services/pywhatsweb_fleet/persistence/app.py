"""What the persistence service runs: an ingest a tenant, the questions, and housekeeping."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.persistence import filing, housekeeping
from pywhatsweb_fleet.persistence.answering import answering
from pywhatsweb_fleet.persistence.consenting import Consenting
from pywhatsweb_fleet.persistence.ingest import ingesting
from pywhatsweb_fleet.persistence.law import obeying
from pywhatsweb_fleet.persistence.queries import Queries
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import lifecycle, provision
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce
from pywhatsweb_runtime.tenants import following

_SWITCH_INTERVAL_S = 0.0005

log = structlog.get_logger(__name__)


async def run(settings: PersistenceSettings, stopping: asyncio.Event) -> None:
    """Until ``stopping``; then the batches under way are committed and acknowledged."""
    # Threads of the store wait for the interpreter's lock behind the event loop; the default of 5 ms a wait, several
    # waits a transaction, would be most of a transaction's time while a backlog is worked off.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    health = Health("persistence", Metrics(settings.metrics_labels))
    store = open_store(settings.store_url, pool_size=settings.sql_pool, deadline_s=settings.sql_deadline_s)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await store.migrate()
        await housekeeping.once(store)
        bus = await stack.enter_async_context(
            broker.connect(
                settings,
                name=f"persistence@{socket.gethostname()}",
                inbox_prefix=subjects.inbox("persistence"),
            )
        )
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        await provision.ensure_platform(bus, settings.replicas)
        publisher = await stack.enter_async_context(publishing(bus))
        tenants = await stack.enter_async_context(following(bus))
        familiar = Familiar()
        ingests = await stack.enter_async_context(
            ingesting(bus, store, publisher, tenants, familiar, settings, health.metrics)
        )
        health.checks["ingest"] = ingests.problem
        await stack.enter_async_context(answering(bus, Queries(store), Consenting(store), tenants))
        shelf = await stack.enter_async_context(filing.filing(bus, store, settings, tenants.find, health))
        library = shelf.library if shelf is not None else None
        duties = await stack.enter_async_context(
            obeying(bus, store, publisher, tenants, familiar, settings, library)
        )
        port = await stack.enter_async_context(
            serving(health, host=settings.health_host, port=settings.health_port)
        )
        announce(settings.ready_file, health.port)
        log.info("ready", tenants=len(tenants.records), health_port=port, database=store.dialect)
        await lifecycle.until(
            stopping,
            tenants.follow(),
            ingests.watch(),
            housekeeping.keep(store, settings.idempotency_every_s),
            filing.sweep(shelf),
            *duties,
        )
