"""What the dispatcher runs: a pair of intakes a tenant, the control plane, and what keeps them informed."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.dispatcher.alarms import Alarms
from pywhatsweb_fleet.dispatcher.allowances import Allowances
from pywhatsweb_fleet.dispatcher.backlogs import Backlogs
from pywhatsweb_fleet.dispatcher.channels import Channels
from pywhatsweb_fleet.dispatcher.claims import Claims
from pywhatsweb_fleet.dispatcher.contacts import Contacts
from pywhatsweb_fleet.dispatcher.control import SERVICE, answering
from pywhatsweb_fleet.dispatcher.directory import following
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.groups import Groups
from pywhatsweb_fleet.dispatcher.histories import Histories
from pywhatsweb_fleet.dispatcher.holds import following as hearing_of_holds
from pywhatsweb_fleet.dispatcher.inboxes import Inboxes
from pywhatsweb_fleet.dispatcher.labels import Labels
from pywhatsweb_fleet.dispatcher.live import Live
from pywhatsweb_fleet.dispatcher.live import answering as answering_live
from pywhatsweb_fleet.dispatcher.marks import Marks
from pywhatsweb_fleet.dispatcher.presence import Presence
from pywhatsweb_fleet.dispatcher.profiles import Profiles
from pywhatsweb_fleet.dispatcher.replicas import Replicas
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_fleet.dispatcher.stalls import StallWatch
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.dispatcher.templates import Templates
from pywhatsweb_fleet.dispatcher.tenants import Tenants
from pywhatsweb_fleet.media.images import Images
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import lifecycle, provision
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000


async def run(settings: DispatcherSettings, stopping: asyncio.Event) -> None:
    """Until ``stopping``; then what was taken is finished and every tenant is handed over."""
    metrics = Metrics(settings.metrics_labels)
    health = Health("dispatcher", metrics)
    store = open_store(settings.store_url)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await store.migrate()
        bus = await stack.enter_async_context(
            broker.connect(
                settings, name=f"dispatcher@{socket.gethostname()}", inbox_prefix=subjects.inbox("dispatcher")
            )
        )
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        await provision.ensure_platform(bus, settings.replicas)
        publisher = await stack.enter_async_context(publishing(bus, in_flight=1024))
        directory = await stack.enter_async_context(following(bus))
        claims = Claims(store, int(settings.idempotency_days * DAY_MS))
        health.checks["store"] = lambda: claims.problem
        stalls = StallWatch()
        presence = Presence()
        holds = await stack.enter_async_context(hearing_of_holds(bus, presence.learn))
        deps = Deps(
            bus,
            publisher,
            directory,
            claims,
            metrics,
            holds,
            Allowances(store),
            Engines(bus),
            Templates(store),
            Inboxes(store, bus, directory, holds, presence, keep_ms=claims.keep_ms),
        )
        service = await stack.enter_async_context(answering(deps, settings, health))
        live = Live(bus, directory, deps.engines)
        images = Images()
        stack.push_async_callback(images.close)
        marks, past = Marks(live, store), Histories(live, store)
        people = Contacts(live), Groups(live), Channels(live), Profiles(live, images)
        parts = (*people, marks, past, Labels(live))
        answers = {verb: handler for part in parts for verb, handler in part.answers().items()}
        await stack.enter_async_context(answering_live(bus, answers, directory.find))
        replicas = Replicas(bus, SERVICE, service)
        await replicas.look()
        tenants = await stack.enter_async_context(Tenants(deps, stalls, replicas, settings))
        watch = Alarms(deps, presence, settings)
        backlogs = Backlogs(bus, metrics, tenants.pinned, watch)
        metrics.sessions_known.set_function(directory.count_sessions)
        port = await stack.enter_async_context(
            serving(health, host=settings.health_host, port=settings.health_port)
        )
        announce(settings.ready_file, health.port)
        log.info("ready", tenants=len(directory.tenants), health_port=port)
        await lifecycle.until(
            stopping,
            directory.sweep_for_ever(),
            holds.sweep_for_ever(directory),
            stalls.tick_for_ever(),
            tenants.follow_for_ever(),
            tenants.share_for_ever(),
            backlogs.watch_for_ever(),
        )
