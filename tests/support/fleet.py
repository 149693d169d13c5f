"""Parts of a fleet for tests: a provisioned tenant, a session worker, and a tenant's eyes on its events."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.msg import Msg

from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts.ids import CommandId, SessionId, TenantId, TenantKey
from pywhatsweb.contracts.queued import Queued, to_headers
from pywhatsweb_fleet.session_worker import app
from pywhatsweb_fleet.session_worker.settings import Settings
from pywhatsweb_runtime import bus as bus_module
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import BrokerSettings, Bus
from pywhatsweb_runtime.kv import Bucket
from tests.support.waiting import wait_until


class Tenant:
    """What a test does as the platform for one tenant."""

    def __init__(self, bus: Bus, name: str, record: registry.TenantRecord) -> None:
        self.bus = bus
        self.name = TenantId(name)
        self.record = record
        self.key = TenantKey(record.key)
        self.events: list[dict[str, Any]] = []

    async def watch(self) -> None:
        """Collects the tenant's events, as a plain subscriber sees them."""

        async def on_event(message: Msg) -> None:
            self.events.append(msgspec.msgpack.decode(message.data))

        await self.bus.client.subscribe(f"wa.evt.{self.name}.>", cb=on_event, pending_msgs_limit=-1)
        await self.bus.client.flush()

    async def wish(self, session: str, **fields: Any) -> None:
        """Writes the session's record, as the control plane does."""
        bucket = Bucket(self.bus, streams.SESSIONS_BUCKET)
        entry = await bucket.get(f"{self.name}.{session}")
        old = registry.decode_session(entry.value) if entry and entry.value else None
        fields = {"engine": "simulated", **fields}
        record = msgspec.structs.replace(old, **fields) if old else registry.SessionRecord(**fields)
        await bucket.put(f"{self.name}.{session}", registry.encode(record))

    async def enqueue(
        self, session: str, command_id: str, text: str = "hi", to: str = "+5511999990001", **more: Any
    ) -> None:
        """Puts a text into the session's outbox, as the dispatcher does."""
        name = SessionId(session)
        digest = ids.command_digest(self.key, name, CommandId(command_id))
        queued = Queued(
            verb=more.pop("verb", "send"),
            command_id=CommandId(command_id),
            digest=digest,
            message_id=ids.whatsapp_message_id(self.key, name, CommandId(command_id)),
            recipient=f"pn:{to}",
            chat=ids.chat_key(self.key, pn=to),
            accepted_at=1,
            **more,
        )
        body = {"id": command_id, "to": to, "type": "text", "text": {"body": text}}
        answer = await self.bus.request(
            subjects.out(self.name, name), msgspec.msgpack.encode(body), headers=to_headers(queued)
        )
        assert b'"error"' not in answer.data, answer.data

    def of(self, kind: str, session: str | None = None) -> list[dict[str, Any]]:
        """Events of a type so far, in the order of their arrival."""
        return [e for e in self.events if e["event"] == kind and session in (None, e["session_id"])]

    def statuses(self, command_id: str) -> list[str]:
        return [e["data"]["status"] for e in self.of("status") if e["data"]["command_id"] == command_id]

    async def working(self, *sessions: str, timeout: float = 60.0) -> None:
        """Waits until each of the sessions is WORKING."""

        def all_work() -> bool:
            last = {e["session_id"]: e["data"]["status"] for e in self.of("session")}
            return all(last.get(session) == "WORKING" for session in sessions)

        await wait_until(all_work, timeout, message=f"{sessions} are WORKING")


@contextlib.asynccontextmanager
async def platform(url: str, *tenants: str, **fields: Any) -> AsyncIterator[tuple[Bus, list[Tenant]]]:
    """A provisioned platform with tenants whose events are watched."""
    async with bus_module.connect(BrokerSettings(nats_url=url), name="test") as bus:
        await provision.ensure_platform(bus)
        made = []
        for name in tenants:
            record = registry.TenantRecord(key=secrets.token_bytes(32), **fields)
            await provision.ensure_tenant(bus, TenantId(name), record.limits)
            await Bucket(bus, streams.TENANTS_BUCKET).put(name, registry.encode(record))
            tenant = Tenant(bus, name, record)
            await tenant.watch()
            made.append(tenant)
        yield bus, made


def worker_settings(url: str, directory: Path, key: str, **fields: Any) -> Settings:
    return Settings(
        **{
            "nats_url": url,
            "database_url": f"sqlite:///{directory / 'fleet.db'}",
            "encryption_key": key,
            "engines": "simulated",
            "connects_per_second": 0,
            **fields,
        }
    )


class Worker:
    """A session worker inside the test's own process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stopping = asyncio.Event()
        self._task = asyncio.ensure_future(app.run(settings, self._stopping))

    async def stop(self) -> None:
        """As SIGTERM does."""
        self._stopping.set()
        await asyncio.wait_for(self._task, 20)


@contextlib.asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """A worker for the length of a with block; one that failed fails the test."""
    running = Worker(settings)
    try:
        yield running
    finally:
        await running.stop()
