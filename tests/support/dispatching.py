"""Dispatchers for tests, inside the test's process or as processes of their own, and a user who publishes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.dispatcher import app, holds
from pywhatsweb_fleet.dispatcher.allowances import Allowances
from pywhatsweb_fleet.dispatcher.claims import Claims
from pywhatsweb_fleet.dispatcher.directory import following
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.inboxes import Inboxes
from pywhatsweb_fleet.dispatcher.presence import Presence
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.dispatcher.templates import Templates
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus, Stored
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announced
from tests.support.fleet import Tenant
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def settings(url: str, directory: Path, **fields: Any) -> DispatcherSettings:
    return DispatcherSettings(
        **{
            "nats_url": url,
            "database_url": f"sqlite:///{directory / 'fleet.db'}",
            "engine": "simulated",
            **fields,
        }
    )


@contextlib.asynccontextmanager
async def dispatcher(
    url: str, directory: Path, *, ready_name: str = "dispatcher", **fields: Any
) -> AsyncIterator[None]:
    """A dispatcher inside the test's process, ready; one that failed fails the test."""
    ready = directory / f"{ready_name}.ready"
    ready.unlink(missing_ok=True)
    stopping = asyncio.Event()
    task = asyncio.ensure_future(app.run(settings(url, directory, ready_file=str(ready), **fields), stopping))
    try:
        await wait_until(lambda: ready.exists() or task.done(), 60, message="the dispatcher is ready")
        if task.done():
            task.result()
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


@contextlib.asynccontextmanager
async def parts(bus: Bus, store: Store) -> AsyncIterator[Deps]:
    """What a dispatcher is made of, for tests that go a step at a time."""
    presence = Presence()
    async with (
        publishing(bus) as publisher,
        following(bus) as directory,
        holds.following(bus, presence.learn) as cold,
    ):
        claims = Claims(store, 86_400_000)
        inboxes = Inboxes(store, bus, directory, cold, presence, keep_ms=claims.keep_ms)
        own = (Allowances(store), Engines(bus), Templates(store), inboxes)
        yield Deps(bus, publisher, directory, claims, Metrics(), cold, *own)


class Replica:
    """A dispatcher as a process."""

    def __init__(self, url: str, directory: Path, name: str, database: str) -> None:
        self._ready = directory / f"{name}.ready"
        self._log = (directory / f"{name}.log").open("ab")
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}",
            "PWW_NATS_URL": url,
            "PWW_DATABASE_URL": f"sqlite:///{directory / database}",
            "PWW_READY_FILE": str(self._ready),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pywhatsweb_fleet.dispatcher"], env=environment, stderr=self._log
        )

    async def ready(self) -> None:
        await wait_until(lambda: announced(self._ready, self.process.pid), 30, message="the replica is ready")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)
        self._log.close()


@contextlib.contextmanager
def replica(url: str, directory: Path, name: str, *, database: str = "fleet.db") -> Iterator[Replica]:
    running = Replica(url, directory, name, database)
    try:
        yield running
    finally:
        running.end()


def text(body: str = "hi", to: str = "+5511999990001", **more: Any) -> dict[str, Any]:
    return {"to": to, "type": "text", "text": {"body": body}, **more}


class User:
    """What somebody does who knows only the public interface."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    async def publish(
        self, body: Any, session: str = "s1", verb: str = "send", *, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Publishes a command and gives the broker's answer."""
        data = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
        subject = subjects.command(self.tenant.name, SessionId(session), verb)
        answer = await self.tenant.bus.request(subject, data, headers=headers)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def ask(self, verb: str, /, **fields: Any) -> dict[str, Any]:
        """A control request in JSON; the whole reply."""
        answer = await self.tenant.bus.request(
            f"wa.ctl.{self.tenant.name}.{verb}", json.dumps(fields).encode()
        )
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def told(self, command_id: str, *statuses: str, timeout: float = 5.0) -> list[dict[str, Any]]:
        """The status events of a command, once those statuses are the ones that were told."""

        def all_told() -> bool:
            return self.tenant.statuses(command_id) == list(statuses)

        await wait_until(
            all_told,
            timeout,
            message=f"{command_id} is told {statuses}, not {self.tenant.statuses(command_id)}",
        )
        return [e for e in self.tenant.of("status") if e["data"]["command_id"] == command_id]

    async def refused(self, command_id: str, *, status: str = "rejected", timeout: float = 5.0) -> str:
        """The code with which a command ended, which is the only thing that was told of it."""
        (event,) = await self.told(command_id, status, timeout=timeout)
        code: str = event["data"]["error"]["code"]
        return code

    async def outbox(self, session: str = "s1") -> list[Stored]:
        """What waits in a session's queue, in order."""
        subject = subjects.out(self.tenant.name, SessionId(session))
        found: list[Stored] = []
        while True:
            start = found[-1].sequence + 1 if found else 1
            stored = await self.tenant.bus.first_from(streams.outbox_name(self.tenant.name), subject, start)
            if stored is None:
                return found
            found.append(stored)
