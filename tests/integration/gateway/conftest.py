"""A gateway inside the test's own process, before a real broker and a scripted control plane."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from nats.aio.msg import Msg

from pywhatsweb.contracts import codec, control, events
from pywhatsweb.contracts import event_data as e
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.contracts.subjects import event_ingest
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker import keys
from pywhatsweb_fleet.broker.secrets import TenantSecrets, new_tenant
from pywhatsweb_fleet.gateway import app
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_runtime.bus import Bus
from tests.support import NatsServer, wait_until
from tests.support.fleet import platform

Answer = Callable[[dict[str, Any]], Any]


class World:
    """The platform's side: what a test scripts, and what was published."""

    def __init__(self, bus: Bus, url: str, tenants: dict[str, TenantSecrets]) -> None:
        self.bus = bus
        self.url = url
        self.keys = {name: tenant.api_key for name, tenant in tenants.items()}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.told = 0

    async def answers(self, verb: str, answer: Answer, tenant: str = "demo") -> None:
        """Answers a verb: with data, or with the failure of the code that `answer` gives."""

        async def on_request(message: Msg) -> None:
            args: dict[str, Any] = codec.decode(message.data, dict)
            self.asked.append((verb, args))
            found = answer(args)
            body = control.failure(found) if isinstance(found, ErrorCode) else control.success(found)
            await message.respond(body)

        await self.bus.client.subscribe(f"wa.ctl.{tenant}.{verb}", cb=on_request)
        await self.bus.client.flush()

    async def tell(
        self,
        session: str = "s1",
        status: str = "sent",
        tenant: str = "demo",
        command: str = "c",
        inbox: str | None = None,
    ) -> int:
        """A status event; its stream sequence."""
        self.told += 1
        event = events.StatusEvent(
            id=f"e{self.told}",
            tenant_id=tenant,
            session_id=session,
            timestamp=events.timestamp(),
            data=e.Status(
                command_id=command, message_id="3EB0", status=MessageStatus(status), inbox_id=inbox
            ),
        )
        answer = await self.bus.request(
            event_ingest(TenantId(tenant), SessionId(session), "status", ChatKey("-")),
            codec.encode(event),
            headers={"Nats-Msg-Id": event.id},
        )
        return int(json.loads(answer.data)["seq"])

    @contextlib.asynccontextmanager
    async def client(self, tenant: str | None = "demo", **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        if tenant is not None:
            headers["Authorization"] = f"Bearer {self.keys[tenant]}"
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10) as client:
            yield client


@contextlib.asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[str]:
    """Its address, for as long as the block lasts."""
    stopping = asyncio.Event()
    task = asyncio.ensure_future(app.run(settings, stopping))
    url = f"http://127.0.0.1:{settings.http_port}"

    async def up() -> bool:
        if task.done():
            task.result()
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{url}/health")).status_code == 200
        return False

    try:
        await wait_until(up, 10, interval=0.05)
        yield url
    finally:
        stopping.set()
        await asyncio.wait_for(task, 15)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
async def world(nats_server: NatsServer) -> AsyncIterator[World]:
    async with platform(nats_server.url, "demo", "acme") as (bus, _):
        tenants = {name: new_tenant(name) for name in ("demo", "acme")}
        await keys.ensure_all(bus, tenants)
        settings = GatewaySettings(
            nats_url=nats_server.url,
            http_port=free_port(),
            heartbeat_s=0.3,
            slow_after_s=1.0,
            body_timeout_s=1.0,
        )
        async with gateway(settings) as url:
            yield World(bus, url, tenants)
