"""What the gateway runs: the keys' mirror, the feeds of events, and the HTTP server in front of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.gateway import keys, server, web
from pywhatsweb_fleet.gateway.auth import Door
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.feed import Feeds
from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_fleet.gateway.local import LocalWhatsApp
from pywhatsweb_fleet.gateway.outcomes import Outcomes
from pywhatsweb_fleet.gateway.rest import sandbox
from pywhatsweb_fleet.gateway.routes import Route
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_fleet.gateway.sharing import sharing
from pywhatsweb_fleet.gateway.streaming import Streams
from pywhatsweb_fleet.gateway.users import Users
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import lifecycle
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce

log = structlog.get_logger(__name__)


async def run(settings: GatewaySettings, stopping: asyncio.Event) -> None:
    """Until ``stopping``; then event streams are told to come again, and requests are finished."""
    health = Health("gateway", Metrics(settings.metrics_labels))
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            broker.connect(
                settings, name=f"gateway@{socket.gethostname()}", inbox_prefix=subjects.inbox("gateway")
            )
        )
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        publisher = await stack.enter_async_context(publishing(bus, in_flight=1024))
        reader = await stack.enter_async_context(reading(bus))
        known = await stack.enter_async_context(keys.following(bus, settings.replicas))
        people = Users(bus)
        by_key = Buckets(settings.key_rate, settings.key_burst)
        by_address = Buckets(settings.address_rate, settings.address_burst)
        limits = {"key": by_key, "address": by_address}
        shared = await stack.enter_async_context(sharing(bus, limits, settings.replicas))
        door = Door(known, people, by_key, by_address)
        deps = Deps(settings, bus, publisher, known, people, door, Feeds(bus, reader), Outcomes(bus), health)
        bench: tuple[Route, ...] = ()
        if settings.sandbox_url is not None:
            whatsapp = await stack.enter_async_context(
                contextlib.aclosing(LocalWhatsApp(settings.sandbox_url))
            )
            bench = sandbox.routes(whatsapp)
        app = web.application(deps, Streams(deps, stopping), bench)
        await stack.enter_async_context(serving(health, host=settings.health_host, port=settings.health_port))
        port = await stack.enter_async_context(server.listening(app, settings))
        announce(settings.ready_file, health.port)
        log.info("ready", http_port=port, loopback=settings.loopback)
        await lifecycle.until(stopping, known.sweep_for_ever(), shared.tell_for_ever())
