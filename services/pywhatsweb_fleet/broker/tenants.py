"""Making a tenant: its key and limits on record, its streams, its account at the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import nats
from nats.aio.client import Client

from pywhatsweb.contracts.ids import TenantId, new_tenant_key
from pywhatsweb.contracts.streams import TENANTS_BUCKET
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.broker.secrets import TenantSecrets
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.kv import Bucket


async def ensure_all(bus: Bus, tenants: Iterable[str]) -> None:
    """The platform's buckets, and the records and streams of every tenant; idempotent."""
    await provision.ensure_platform(bus)
    await asyncio.gather(*(ensure(bus, tenant) for tenant in tenants))


async def ensure(bus: Bus, tenant: str) -> registry.TenantRecord:
    """The tenant's record, made with a random key when there is none, and its streams brought up to date."""
    if not valid_name(tenant):
        raise ValueError("a tenant's name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit")
    record = await _record(bus, tenant)
    await provision.ensure_tenant(bus, TenantId(tenant), record.limits)
    return record


async def _record(bus: Bus, tenant: str) -> registry.TenantRecord:
    bucket = Bucket(bus, TENANTS_BUCKET)
    entry = await bucket.get(tenant)
    if entry is None:
        record = registry.TenantRecord(key=new_tenant_key())
        try:
            # Only if there is still none: a tenant whose key changed would send what it sent before once more.
            await bucket.put(tenant, registry.encode(record), expected=0)
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            entry = await bucket.get(tenant)
        else:
            return record
    if entry is None or entry.value is None:
        raise BrokerRefused(f"the record of tenant {tenant} was deleted while it was made")
    return registry.decode_tenant(entry.value)


async def wait_until_admitted(url: str, tenant: TenantSecrets, *, bound_s: float = 5.0) -> None:
    """Returns when the broker lets the tenant's user in: a reload has been carried out. Raises BrokerRefused."""
    loop = asyncio.get_running_loop()
    until = loop.time() + bound_s
    while loop.time() < until:
        client = Client()
        try:
            await client.connect(
                url, user=tenant.user, password=tenant.password, allow_reconnect=False, connect_timeout=1,
                error_cb=_quiet,
            )  # fmt: skip
        except (nats.errors.Error, OSError, TimeoutError):
            await asyncio.sleep(0.02)
        else:
            await client.close()
            return
    raise BrokerRefused(f"the broker did not take the account of tenant {tenant.user} within {bound_s:g} s")


async def _quiet(error: Exception) -> None:
    """A refusal is what is waited out here."""
