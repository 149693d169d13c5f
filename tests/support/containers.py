"""What a test does at the fleet in containers: a tenant's program, and the local WhatsApp."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import nats

from tests.support.compose import Compose
from tests.support.running import Plain, Sandbox


@contextlib.asynccontextmanager
async def program(stack: Compose, tenant: str = "demo") -> AsyncIterator[Plain]:
    """A tenant's program, outside of the containers; it rides out a broker that restarts."""
    client = await nats.connect(
        f"nats://{stack.address('nats', 4222)}", user=tenant, password=stack.tenant_password(tenant),
        max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_ridden_out,
    )  # fmt: skip
    try:
        found = Plain(client, tenant)
        await found.follow()
        yield found
    finally:
        await client.close()


async def _ridden_out(_: Exception) -> None:
    """Containers are killed on purpose here."""


@contextlib.asynccontextmanager
async def whatsapp(stack: Compose) -> AsyncIterator[Sandbox]:
    async with httpx.AsyncClient(base_url=f"http://{stack.address('sandbox', 9201)}", timeout=30) as client:
        yield Sandbox(client)
