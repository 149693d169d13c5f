"""Where the fleet is, and a connection for each tenant that a manager speaks for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pywhatsweb.client import FleetClient, LocalFleet, connect
from pywhatsweb.client.local import LocalUser, default_data_dir
from pywhatsweb.errors import (
    AuthenticationError,
    BrokerError,
    DeadlineError,
    ErrorCode,
    RequestError,
    SessionError,
)
from pywhatsweb.legacy.background import Background
from pywhatsweb.legacy.embedded import EmbeddedFleet, running
from pywhatsweb.legacy.exceptions import ConnectionError  # noqa: A004 - 0.5's name

T = TypeVar("T")

CALL_S = 75.0
_SESSION_CODES = (
    "E_SESSION_",
    "E_ENGINE_",
    "E_PAIRING_",
    "E_QR_",
    "E_INVALID_SESSION_ID",
    "E_TENANT_SUSPENDED",
)


@contextlib.contextmanager
def as_05() -> Any:
    """0.5's exceptions instead of the client's, where they differ."""
    try:
        yield
    except (DeadlineError, ConnectionError):
        raise
    except BrokerError as error:
        raise ConnectionError(error.code, error.details) from None
    except RequestError as error:
        if error.code.wire.startswith(_SESSION_CODES):
            raise SessionError(error.code, error.details) from None
        raise


class Place:
    """How the fleet is found: a broker's address, a data directory, or an embedded one that is started."""

    def __init__(
        self,
        *,
        url: str | None,
        user: str | None,
        password: str | None,
        creds: str | Path | None,
        tenants: Mapping[str, tuple[str, str]] | None,
        data_dir: Path | None,
        engine: str | None,
        sandbox: bool | None,
        auto_start: bool,
    ) -> None:
        environ = os.environ
        named = url or (environ.get("PWW_NATS_URL") if data_dir is None else None)
        self.url = named
        self._user = user or environ.get("PWW_NATS_USER")
        self._password = password or environ.get("PWW_NATS_PASSWORD")
        self._creds = creds or environ.get("PWW_NATS_CREDS")
        self._tenants = dict(tenants or {})
        self._auto_start = auto_start
        self._lock = threading.Lock()
        self._found: LocalFleet | None = None
        self.embedded: EmbeddedFleet | None = None
        self._data_dir = (data_dir or default_data_dir()).absolute()
        self._engine = engine
        self._sandbox = sandbox

    def default_tenant(self) -> str:
        if self.url is not None:
            return self._user or next(iter(self._tenants), "demo")
        found = self._local([])
        return "demo" if "demo" in found.tenants or not found.tenants else min(found.tenants)

    def credentials(self, tenant: str) -> tuple[str, LocalUser | None, str | Path | None]:
        """The address, and the user or the credentials file. Raises WhatsAppError."""
        if self.url is not None:
            if tenant in self._tenants:
                return self.url, LocalUser(*self._tenants[tenant]), None
            if tenant == self._user and self._password is not None:
                return self.url, LocalUser(self._user, self._password), None
            if self._creds is not None:
                return self.url, None, self._creds
            raise AuthenticationError(ErrorCode.E_TENANT_NOT_FOUND, {"reason": "no credentials for it"})
        found = self._local([tenant])
        if tenant not in found.tenants and self.embedded is not None:
            with self._lock:
                found = self._found = self.embedded.add_tenant(tenant)
        if tenant not in found.tenants:
            reason = f"this fleet does not have it: pww tenant add {tenant}"
            raise AuthenticationError(ErrorCode.E_TENANT_NOT_FOUND, {"reason": reason})
        return found.nats_url, found.tenants[tenant], None

    def _local(self, tenants: list[str]) -> LocalFleet:
        with self._lock:
            if self._found is None:
                self._found = running(self._data_dir)
            if self._found is None:
                if not self._auto_start:
                    raise ConnectionError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "no fleet runs here"})
                self.embedded = EmbeddedFleet(self._data_dir, engine=self._engine, sandbox=self._sandbox)
                self._found = self.embedded.start(tenants)
            return self._found

    def stop(self) -> None:
        """The embedded fleet, when there is one."""
        with self._lock:
            if self.embedded is not None:
                self.embedded.stop()
                self.embedded = self._found = None


class Connections:
    """One `FleetClient` a tenant, made when it is first needed, in the background loop."""

    def __init__(self, place: Place) -> None:
        self.background: Background = Background()
        self.place = place
        self._clients: dict[str, FleetClient] = {}
        self._stacks: dict[str, contextlib.AsyncExitStack] = {}
        self._lock = threading.Lock()

    def client(self, tenant: str) -> FleetClient:
        with self._lock:
            found = self._clients.get(tenant)
            if found is None:
                url, user, creds = self.place.credentials(tenant)
                with as_05():
                    found = self.background.run(self._open(tenant, url, user, creds), 30)
                self._clients[tenant] = found
            return found

    @property
    def open(self) -> dict[str, FleetClient]:
        return dict(self._clients)

    def call(self, tenant: str, work: Callable[[FleetClient], Awaitable[T]], timeout: float = CALL_S) -> T:
        """`work` with the tenant's client, from any thread. Raises 0.5's exceptions."""
        client = self.client(tenant)

        async def working() -> T:
            return await work(client)

        with as_05():
            return self.background.run(working(), timeout)

    async def _open(
        self, tenant: str, url: str, user: LocalUser | None, creds: str | Path | None
    ) -> FleetClient:
        stack = contextlib.AsyncExitStack()
        client = await stack.enter_async_context(
            connect(
                url,
                user=user.user if user else None,
                password=user.password if user else None,
                creds=creds,
                tenant=tenant,
                name="pywhatsweb 0.5",
            )
        )
        self._stacks[tenant] = stack
        return client

    def close(self) -> None:
        with self._lock:
            stacks, self._stacks, self._clients = dict(self._stacks), {}, {}
            if stacks:
                self.background.run(_close(list(stacks.values())), 15)
            self.background.stop()


async def _close(stacks: list[contextlib.AsyncExitStack]) -> None:
    await asyncio.gather(*(stack.aclose() for stack in stacks), return_exceptions=True)
