"""What the webhooks service runs: the webhooks that it holds, and their verbs of the control plane."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket

import httpcore
import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.storage.faults import KeyMissing, StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.handlers import Handlers
from pywhatsweb_fleet.webhooks.holding import Holding, holding
from pywhatsweb_fleet.webhooks.posting import Poster, posting
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import headers, lifecycle, outbound, provision
from pywhatsweb_runtime.answering import answering
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce
from pywhatsweb_runtime.tenants import following

log = structlog.get_logger(__name__)

_TELL_EVERY_S = 5.0
_REFUSALS = {
    StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE,
    KeyMissing: ErrorCode.E_CREDENTIALS_UNREADABLE,
    Unsealable: ErrorCode.E_STORAGE_CORRUPT,
}


async def run(
    settings: WebhooksSettings,
    stopping: asyncio.Event,
    *,
    resolve: outbound.Resolve = outbound.resolve,
    connector: httpcore.AsyncNetworkBackend | None = None,
) -> None:
    """Until ``stopping``; then the posts under way are finished and their webhooks given back.

    ``resolve`` and ``connector`` are the way to the receivers.
    """
    metrics = Metrics(settings.metrics_labels)
    health = Health("webhooks", metrics)
    keyring = Keyring.parse(settings.encryption_key or "", settings.encryption_key_file)
    store = open_store(settings.store_url, pool_size=settings.sql_pool, deadline_s=settings.sql_deadline_s)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await store.migrate()
        bus = await stack.enter_async_context(
            broker.connect(
                settings, name=f"webhooks@{socket.gethostname()}", inbox_prefix=subjects.inbox("webhooks")
            )
        )
        bus.client._parse_header_lines = headers.parse  # noqa: SLF001 - see there
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        await provision.ensure_platform(bus, settings.replicas)
        publisher = await stack.enter_async_context(publishing(bus))
        reader = await stack.enter_async_context(reading(bus))
        poster = await stack.enter_async_context(
            posting(Poster(settings, resolve=resolve, connector=connector))
        )
        tenants = await stack.enter_async_context(following(bus))
        deps = Deps(
            settings, bus=bus, store=store, reader=reader, publisher=publisher, poster=poster, keyring=keyring,
            posts=metrics.webhook_posts, record=tenants.record,
            holder=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        )  # fmt: skip
        held = await stack.enter_async_context(holding(deps))
        tenants.changed = held.ring
        health.checks["webhooks"] = held.problem
        health.details["master_keys"] = keyring.ids
        handlers = Handlers(deps, held.ring)
        await stack.enter_async_context(
            answering(
                bus, "webhooks", "Events posted to HTTP servers", handlers.answers,
                find=tenants.find, refusals=_REFUSALS,
            )
        )  # fmt: skip
        port = await stack.enter_async_context(
            serving(health, host=settings.health_host, port=settings.health_port)
        )
        announce(settings.ready_file, health.port)
        log.info("ready", tenants=len(tenants.records), health_port=port, database=store.dialect)
        await lifecycle.until(stopping, tenants.follow(), held.keep(), _tell_for_ever(metrics, held))


async def _tell_for_ever(metrics: Metrics, held: Holding) -> None:
    while True:
        metrics.webhooks.set(held.held())
        metrics.webhook_waiting.labels("open").set(held.waiting(later=False))
        metrics.webhook_waiting.labels("later").set(held.waiting(later=True))
        metrics.webhook_age.set(held.oldest_s())
        await asyncio.sleep(_TELL_EVERY_S)
