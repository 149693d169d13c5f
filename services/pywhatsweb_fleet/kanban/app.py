"""What the Kanban service runs: an ingest a tenant, timers, the outbox's sweep, and the board's verbs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.kanban.answering import answering
from pywhatsweb_fleet.kanban.ingest import Deps
from pywhatsweb_fleet.kanban.ingesting import ingesting
from pywhatsweb_fleet.kanban.outbox import Outbox
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_fleet.kanban.timers import Timers
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import headers, lifecycle, provision
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce
from pywhatsweb_runtime.tenants import following

log = structlog.get_logger(__name__)


async def run(settings: KanbanSettings, stopping: asyncio.Event) -> None:
    """Until ``stopping``; then the batches under way are committed."""
    health = Health("kanban", Metrics(settings.metrics_labels))
    store = open_store(settings.store_url, pool_size=settings.sql_pool, deadline_s=settings.sql_deadline_s)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await store.migrate()
        bus = await stack.enter_async_context(
            broker.connect(
                settings, name=f"kanban@{socket.gethostname()}", inbox_prefix=subjects.inbox("kanban")
            )
        )
        bus.client._parse_header_lines = headers.parse  # noqa: SLF001 - see there
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        await provision.ensure_platform(bus, settings.replicas)
        publisher = await stack.enter_async_context(publishing(bus))
        reader = await stack.enter_async_context(reading(bus))
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        deps = Deps(bus, store, publisher, reader, holder, health.metrics)
        tenants = await stack.enter_async_context(following(bus))
        deps.outbox = outbox = Outbox(store, publisher, tenants.record, health.metrics)
        ingests = await stack.enter_async_context(ingesting(tenants, deps, settings))
        timers = Timers(store, tenants, outbox)
        health.checks["board"] = ingests.problem
        await stack.enter_async_context(answering(bus, store, tenants, outbox, timers))
        port = await stack.enter_async_context(
            serving(health, host=settings.health_host, port=settings.health_port)
        )
        announce(settings.ready_file, health.port)
        log.info("ready", tenants=len(tenants.records), health_port=port, database=store.dialect)
        await lifecycle.until(
            stopping,
            tenants.follow(),
            ingests.watch(),
            timers.keep(settings.board_tick_s),
            outbox.sweep(2 * settings.board_tick_s),
        )
