"""A broker as `pww up` runs it, with two tenants, and connections on both sides of the border."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from pywhatsweb_fleet.broker import accounts, process, secrets, tenants
from pywhatsweb_fleet.broker.config import BrokerConfig
from pywhatsweb_fleet.broker.operator import Operator
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect


class Broker:
    """What a test needs to know of it."""

    def __init__(self, directory: Path, mode: str = "config") -> None:
        self.directory = directory
        self.mode = mode
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

    @property
    def operator(self) -> Operator:
        return Operator(self.secrets)

    def text(self) -> str | None:
        """The server's configuration in operator mode."""
        if self.mode == "config":
            return None
        return self.operator.render(self.config, self.directory / "jwt")

    def _settings(self, user: secrets.User, creds: Callable[[], str]) -> BrokerSettings:
        if self.mode == "config":
            return BrokerSettings(nats_url=self.url, nats_user=user.user, nats_password=user.password)
        path = self.directory / f"{user.user}.creds"
        secrets.write_private(path, creds().encode())
        return BrokerSettings(nats_url=self.url, nats_creds=str(path))

    def platform_settings(self) -> BrokerSettings:
        return self._settings(self.secrets.platform, self.operator.platform_credentials)

    def system_settings(self) -> BrokerSettings:
        return self._settings(self.secrets.system, self.operator.system_credentials)

    def service_settings(self, name: str) -> BrokerSettings:
        return self._settings(self.secrets.services[name], lambda: self.operator.service_credentials(name))

    def login(self, name: str, user: str | None = None) -> dict[str, Any]:
        """What a tenant's client is told of who it is."""
        if self.mode == "config":
            tenant = self.secrets.tenants[name]
            if user is None:
                return {"user": tenant.user, "password": tenant.password}
            return {"user": f"{name}.{user}", "password": tenant.users[user].password}
        path = self.directory / f"{name}-{user}.creds"
        secrets.write_private(path, self.operator.tenant_credentials(name, user).encode())
        return {"user_credentials": str(path)}

    async def tenant(self, name: str, user: str | None = None, **options: Any) -> Client:
        """A plain client with the tenant's credentials; what the broker forbids it is noted in `errors`."""

        async def on_error(error: Exception) -> None:
            self.errors.append(str(error))

        client: Client = await nats.connect(
            self.url, **{"error_cb": on_error, **self.login(name, user), **options}
        )
        self._clients.append(client)
        return client

    async def change(self, bus: Bus, after: secrets.Secrets) -> None:
        """Brings the running broker's accounts in line with other secrets."""
        before, self.secrets = self.secrets, after
        secrets.save(self.directory, after)
        if self.mode == "operator":
            async with connect(self.system_settings(), name="system") as system:
                await accounts.OperatorAccounts(system).apply(before, after)
            return
        async with connect(self.system_settings(), name="system") as system:
            where, reload = self.platform_settings(), accounts.by_system(system)
            border = accounts.ConfigAccounts(self.directory, self.config, bus, where, reload=reload)
            await border.apply(before, after)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))


@contextlib.asynccontextmanager
async def running(tmp_path: Path, mode: str) -> AsyncIterator[tuple[Broker, asyncio.subprocess.Process]]:
    """A broker with its tenants acme and rival provisioned, in one of the two modes."""
    described = Broker(tmp_path, mode)
    async with process.running(
        tmp_path, described.config, described.secrets, text=described.text()
    ) as server:
        if mode == "operator":
            async with connect(described.system_settings(), name="system") as system:
                await described.operator.push(system, list(described.secrets.tenants))
        async with connect(described.platform_settings(), name="provisioning") as bus:
            await tenants.ensure_all(bus, described.secrets.tenants)
        try:
            yield described, server
        finally:
            await described.close()


@pytest.fixture(params=["config", "operator"])
def mode(request: pytest.FixtureRequest) -> str:
    """Accounts in the configuration, or tokens that an operator signs."""
    return str(request.param)


@pytest.fixture
async def broker(tmp_path: Path, mode: str) -> AsyncIterator[Broker]:
    """It runs; its tenants acme and rival are provisioned."""
    async with running(tmp_path, mode) as (described, _):
        yield described


@pytest.fixture
async def platform(broker: Broker) -> AsyncIterator[Bus]:
    """The services' side."""
    async with connect(broker.platform_settings(), name="platform") as bus:
        yield bus
