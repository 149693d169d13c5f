"""A broker as `pww up` runs it, with two tenants, and connections on both sides of the border."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from pywhatsweb_fleet.broker import process, secrets, tenants
from pywhatsweb_fleet.broker.config import BrokerConfig
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect


class Broker:
    """What a test needs to know of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.secrets = secrets.load_or_make(directory, ["acme", "rival"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.config = BrokerConfig(store_dir=directory / "store", port=port)
        self.errors: list[str] = []
        self._clients: list[Client] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.config.port}"

    def platform_settings(self) -> BrokerSettings:
        user = self.secrets.platform
        return BrokerSettings(nats_url=self.url, nats_user=user.user, nats_password=user.password)

    async def tenant(self, name: str, **options: Any) -> Client:
        """A plain client with the tenant's credentials; what the broker forbids it is noted in `errors`."""
        user = self.secrets.tenants[name]

        async def on_error(error: Exception) -> None:
            self.errors.append(str(error))

        client: Client = await nats.connect(
            self.url, user=user.user, password=user.password, error_cb=on_error, **options
        )
        self._clients.append(client)
        return client

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """It runs; its tenants acme and rival are provisioned."""
    described = Broker(tmp_path)
    async with process.running(tmp_path, described.config, described.secrets):
        async with connect(described.platform_settings(), name="provisioning") as bus:
            await tenants.ensure_all(bus, described.secrets.tenants)
        yield described
        await described.close()


@pytest.fixture
async def platform(broker: Broker) -> AsyncIterator[Bus]:
    """The services' side."""
    async with connect(broker.platform_settings(), name="platform") as bus:
        yield bus
