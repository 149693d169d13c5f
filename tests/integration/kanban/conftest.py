"""The service on a real broker and either database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from pywhatsweb.contracts import control, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.kanban import app
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_runtime.bus import Bus
from tests.support import NatsServer, wait_until


class Tenant:
    """A tenant's program: asks, and sees events as they are stored."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.events: list[dict[str, Any]] = []

    async def watch(self) -> None:
        async def on_event(message: Msg) -> None:
            self.events.append(msgspec.msgpack.decode(message.data))

        await self.bus.client.subscribe("wa.evt.acme.>", cb=on_event)
        await self.bus.client.flush()

    def of(self, kind: str, chat: str | None = None) -> list[dict[str, Any]]:
        return [
            one["data"] for one in self.events
            if one["event"] == kind and chat in (None, one["data"]["chat"]["key"])
        ]  # fmt: skip

    async def ask(self, verb: str, **arguments: Any) -> Any:
        noun, _, name = verb.partition(".")
        subject = subjects.control(TenantId("acme"), noun, name)
        answer = await self.bus.client.request(subject, msgspec.json.encode(arguments), timeout=10)
        return control.read_reply(answer.data, control.VERBS[verb].result)


@pytest.fixture
async def tenant(bus: Bus) -> Tenant:
    program = Tenant(bus)
    await program.watch()
    return program


@pytest.fixture
def settings(nats_server: NatsServer, database_url: str) -> KanbanSettings:
    return KanbanSettings(
        nats_url=nats_server.url,
        database_url=database_url,
        board_tick_s=0.1,
        board_hold_s=0.5,
        board_poll_s=0.5,
    )


@contextlib.asynccontextmanager
async def serving(settings: KanbanSettings, ready: Path) -> AsyncIterator[None]:
    """A replica in this process; ends with an error of its own if it had one."""
    stopping = asyncio.Event()
    task = asyncio.create_task(app.run(msgspec.structs.replace(settings, ready_file=str(ready)), stopping))
    try:
        await wait_until(lambda: ready.exists() or task.done(), 20, message="the service is ready")
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


@pytest.fixture
async def service(settings: KanbanSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[None]:
    """One replica."""
    async with serving(settings, tmp_path / "ready"):
        yield


@pytest.fixture
async def replicas(settings: KanbanSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[None]:
    """Two."""
    async with serving(settings, tmp_path / "ready-1"), serving(settings, tmp_path / "ready-2"):
        yield


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(nats_server: NatsServer, tmp_path: Path) -> Iterator[Start]:
    """Starts replicas as processes of their own; those left are killed at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(database_url: str, program: str | None = None) -> subprocess.Popen[bytes]:
        environ = os.environ | {
            "PWW_NATS_URL": nats_server.url,
            "PWW_DATABASE_URL": database_url,
            "PWW_BOARD_TICK_S": "0.1",
            "PWW_BOARD_HOLD_S": "0.5",
            "PWW_BOARD_POLL_S": "0.5",
            "PWW_BOARD_BATCH": "20",
        }
        what = ["-c", program] if program else ["-m", "pywhatsweb_fleet.kanban"]
        with (tmp_path / "service.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *what], env=environ, stdout=log, stderr=log)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait(10)
