"""Making a tenant: its key and limits on record, its streams, its account at the broker."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from pywhatsweb.contracts.ids import TenantId, new_tenant_key
from pywhatsweb.contracts.streams import TENANTS_BUCKET
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.broker.secrets import TenantSecrets
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerSettings, Bus
from pywhatsweb_runtime.kv import Bucket

_AT_ONCE: Final = 16
"""Tenants whose streams are made at the same time: a thousand at once would wait for the broker beyond any deadline."""


async def ensure_all(bus: Bus, tenants: Iterable[str], replicas: int = 1) -> None:
    """The platform's buckets, and the records and streams of every tenant; idempotent."""
    await provision.ensure_platform(bus, replicas)
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(tenant: str) -> None:
        async with room:
            await ensure(bus, tenant, replicas)

    await asyncio.gather(*(one(tenant) for tenant in tenants))


async def ensure(
    bus: Bus, tenant: str, replicas: int = 1, new: registry.TenantRecord | None = None
) -> registry.TenantRecord:
    """The tenant's record, which becomes ``new`` when there is none, and its streams brought up to date.

    Without ``new``: one with a random key, and no limits but the usual ones.
    """
    if not valid_name(tenant):
        raise ValueError("a tenant's name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit")
    record = await _record(bus, tenant, new or registry.TenantRecord(key=new_tenant_key()))
    await provision.ensure_tenant(bus, TenantId(tenant), record.limits, replicas)
    return record


async def _record(bus: Bus, tenant: str, new: registry.TenantRecord) -> registry.TenantRecord:
    bucket = Bucket(bus, TENANTS_BUCKET)
    entry = await bucket.get(tenant)
    if entry is None:
        try:
            # Only if there is still none: a tenant whose key changed would send what it sent before once more.
            await bucket.put(tenant, registry.encode(new), expected=0)
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            entry = await bucket.get(tenant)
        else:
            return new
    if entry is None or entry.value is None:
        raise BrokerRefused(f"the record of tenant {tenant} was deleted while it was made")
    return registry.decode_tenant(entry.value)


async def admit(
    bus: Bus,
    where: BrokerSettings,
    new: Sequence[TenantSecrets],
    reload: Callable[[], Awaitable[None]],
    *,
    bound_s: float = 30.0,
) -> None:
    """Makes a running broker take new tenants' accounts, which its configuration names; others stay connected.

    nats-server 2.15.1 adds an account at the first reload but connects its service imports (commands, control,
    pulls) only at the next one, so ``reload`` is called until a request of each gets across. Raises BrokerRefused.
    """
    inbound = await bus.client.subscribe("wa.ctl.*.tenant.probe", cb=_echo)
    try:
        async with asyncio.timeout(bound_s):
            while new:
                await reload()
                across = await asyncio.gather(*(_gets_across(where, tenant) for tenant in new))
                new = [tenant for tenant, is_across in zip(new, across, strict=True) if not is_across]
    except TimeoutError:
        raise BrokerRefused(f"the broker did not take a tenant's account within {bound_s:g} s") from None
    finally:
        with contextlib.suppress(nats.errors.Error):
            await inbound.unsubscribe()


async def _gets_across(where: BrokerSettings, tenant: TenantSecrets) -> bool:
    """Whether the tenant's user comes in, and its request is answered by the platform, within half a second."""
    for _ in range(20):
        client = Client()
        try:
            await client.connect(
                servers=where.nats_url.split(","), user=tenant.user, password=tenant.password,
                allow_reconnect=False, connect_timeout=1, error_cb=_expected,
                tls=ssl.create_default_context(cafile=where.nats_ca) if where.nats_ca else None,
            )  # fmt: skip
            await client.request(f"wa.ctl.{tenant.user}.tenant.probe", timeout=0.5)
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            return False
        except (nats.errors.Error, OSError, TimeoutError):
            await asyncio.sleep(0.025)  # the reload is still under way
        else:
            return True
        finally:
            await client.close()
    return False


async def _echo(message: Msg) -> None:
    await message.respond(b"")


async def _expected(error: Exception) -> None:
    """A refusal is what is waited out here."""
