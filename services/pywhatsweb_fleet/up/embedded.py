"""The broker that `pww up` runs beside the services: its configuration, its tenants, and both brought up to date."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from pywhatsweb.contracts.streams import TenantLimits
from pywhatsweb_fleet.broker import keys, tenants
from pywhatsweb_fleet.broker import process as broker
from pywhatsweb_fleet.broker.config import BrokerConfig
from pywhatsweb_fleet.broker.secrets import Secrets
from pywhatsweb_fleet.up.datadir import LOOPBACK, Layout, StartError
from pywhatsweb_runtime.bus import ApiError, BrokerSettings, BrokerUnavailable, connect

_A_TENANT_S = 0.3
"""On a busy machine after a power cut; at rest it is a hundredth of it."""


class EmbeddedBroker:
    """Its process is started and kept by a `Child`."""

    def __init__(self, layout: Layout, port: int, secrets: Secrets) -> None:
        self.url = f"nats://{LOOPBACK}:{port}"
        self.secrets = secrets
        self._directory = layout.broker
        # Kept for every later writing: nats-server refuses to load another limit of JetStream's while it runs.
        self._config = BrokerConfig(
            store_dir=layout.streams, port=port, max_file=_room(layout.streams, len(secrets.tenants))
        )

    async def start(self) -> asyncio.subprocess.Process:
        """Raises BrokerRefused when nats-server does not take its configuration."""
        broker.save_choices(self._directory, self._config)
        path = await broker.write_config(self._directory, self._config, self.secrets)
        return await broker.spawn(path, store=self._config.store_dir)

    async def until_up(self, process: asyncio.subprocess.Process) -> None:
        bound_s = broker.START_BOUND_S + self.patience_s
        await broker.wait_until_up(LOOPBACK, self._config.port, process, bound_s=bound_s)

    @property
    def patience_s(self) -> float:
        """How much longer than usual its start may take: it reads five streams a tenant through."""
        return len(self.secrets.tenants) * _A_TENANT_S

    def _settings(self) -> BrokerSettings:
        user = self.secrets.platform
        return BrokerSettings(nats_url=self.url, nats_user=user.user, nats_password=user.password)

    async def provision(self) -> None:
        """The platform's buckets, every tenant's streams and its first API key. Raises StartError."""
        try:
            async with connect(self._settings(), name="pww up") as bus:
                await tenants.ensure_all(bus, self.secrets.tenants)
                await keys.ensure_all(bus, self.secrets.tenants)
        except ApiError as error:
            raise StartError(f"the broker refuses the fleet's streams: {error}.") from None
        except BrokerUnavailable as error:
            raise StartError(f"the broker does not answer ({error}).") from None


def _room(directory: Path, tenant_count: int) -> int:
    """Bytes that streams may reserve: three quarters of what the disk can give, as nats-server itself would choose.

    Never less than the tenants' limits add up to: a reservation is a promise to refuse in time, not an allocation.
    """
    limits = TenantLimits()
    tenant = limits.commands_bytes + limits.outbox_bytes + limits.events_bytes + limits.deadletter_bytes
    wanted = max(shutil.disk_usage(directory).free * 3 // 4, (tenant_count + 10) * tenant)
    # In steps, so that the configuration's text does not change at each start.
    step = 16 * 2**30
    return (wanted // step + 1) * step
