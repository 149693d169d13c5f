"""Streams, consumers and buckets: made when absent, brought up to date in place, never emptied.

Idempotent and safe when several services start at once.
"""

from __future__ import annotations

from typing import Any

import structlog

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime.bus import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND, ApiError, Bus

log = structlog.get_logger(__name__)


async def ensure_stream(bus: Bus, config: dict[str, Any]) -> None:
    """Raises ApiError when the broker refuses (no room for ``max_bytes``: 10047; a change it cannot make)."""
    name = config["name"]
    try:
        present = (await bus.api(f"STREAM.INFO.{name}"))["config"]
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        await bus.api(f"STREAM.CREATE.{name}", config)
        return
    if _differs(present, config):
        await bus.api(f"STREAM.UPDATE.{name}", {**present, **config})
        log.info("stream brought up to date", stream=name)


async def ensure_consumer(bus: Bus, stream: str, config: dict[str, Any]) -> None:
    durable = config["durable_name"]
    try:
        present = (await bus.api(f"CONSUMER.INFO.{stream}.{durable}"))["config"]
    except ApiError as error:
        if error.code != CONSUMER_NOT_FOUND:
            raise
    else:
        if not _differs(present, config):
            return
    await bus.api(f"CONSUMER.DURABLE.CREATE.{stream}.{durable}", {"stream_name": stream, "config": config})


def _differs(present: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a wanted field has another value; the broker leaves out what is at its default."""
    return any(value != present.get(key) and (value or present.get(key)) for key, value in wanted.items())


async def ensure_platform(bus: Bus, replicas: int = 1) -> None:
    """The buckets that are not a tenant's."""
    await ensure_stream(bus, streams.bucket(streams.TENANTS_BUCKET, replicas))
    await ensure_stream(bus, streams.bucket(streams.SESSIONS_BUCKET, replicas))
    # Liveness is worthless after a broker's restart, so it is kept in memory and costs no fsync.
    await ensure_stream(
        bus, streams.bucket(streams.WORKERS_BUCKET, replicas, ttl_s=streams.WORKER_TTL_S, memory=True)
    )


async def ensure_tenant(bus: Bus, tenant: TenantId, limits: streams.TenantLimits, replicas: int = 1) -> None:
    """A tenant's streams and the dispatcher's durables."""
    await ensure_stream(bus, streams.commands(tenant, limits, replicas))
    await ensure_stream(bus, streams.outbox(tenant, limits, replicas))
    await ensure_stream(bus, streams.events(tenant, limits, replicas))
    await ensure_stream(bus, streams.deadletters(tenant, limits, replicas))
    await ensure_stream(bus, streams.schedules(tenant, replicas))
    await ensure_consumer(bus, streams.commands_name(tenant), streams.dispatcher_consumer())
    await ensure_consumer(bus, streams.schedules_name(tenant), streams.due_consumer(tenant))


async def drop_tenant(bus: Bus, tenant: TenantId) -> None:
    """Removes a tenant's streams with all that is in them."""
    for name in (
        streams.commands_name(tenant),
        streams.schedules_name(tenant),
        streams.outbox_name(tenant),
        streams.events_name(tenant),
        streams.deadletters_name(tenant),
    ):
        try:
            await bus.api(f"STREAM.DELETE.{name}")
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
