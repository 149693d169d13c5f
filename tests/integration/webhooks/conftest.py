"""The service on a real broker and either database, and a receiver for its posts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import control, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.webhooks import app
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime.bus import Bus
from tests.support import NatsServer, wait_until
from tests.support.receiver import Receiver, receiving

Ask = Callable[..., Any]
KEY = secrets.token_hex(32)


@pytest.fixture
def ask(bus: Bus) -> Ask:
    """Asks a verb as tenant acme."""

    async def ask(verb: str, **arguments: Any) -> Any:
        noun, _, name = verb.partition(".")
        subject = subjects.control(TenantId("acme"), noun, name)
        answer = await bus.client.request(subject, msgspec.json.encode(arguments), timeout=10)
        return control.read_reply(answer.data, control.VERBS[verb].result)

    return ask


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(nats_server: NatsServer, database_url: str) -> WebhooksSettings:
    return WebhooksSettings(
        nats_url=nats_server.url,
        database_url=database_url,
        encryption_key=KEY,
        webhook_networks="127.0.0.0/8",
        webhook_first_pause_s=0.1,
        webhook_hold_s=6,
        webhook_timeout_s=3,
    )


@contextlib.asynccontextmanager
async def serving(settings: WebhooksSettings, ready: Path, **ways: Any) -> AsyncIterator[None]:
    """A replica in this process; ends with an error of its own if it had one."""
    stopping = asyncio.Event()
    told = msgspec.structs.replace(settings, ready_file=str(ready))
    task = asyncio.create_task(app.run(told, stopping, **ways))
    try:
        await wait_until(lambda: ready.exists() or task.done(), 20, message="the service is ready")
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 30)


@pytest.fixture
async def service(settings: WebhooksSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[None]:
    """One replica."""
    async with serving(settings, tmp_path / "ready"):
        yield


Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(settings: WebhooksSettings, bus: Bus) -> Iterator[Start]:
    """Starts a replica as a process of its own; what still runs at the end is killed."""
    running: list[subprocess.Popen[bytes]] = []
    environ = {
        **os.environ,
        "PWW_NATS_URL": settings.nats_url,
        "PWW_DATABASE_URL": str(settings.database_url),
        "PWW_ENCRYPTION_KEY": KEY,
        "PWW_WEBHOOK_NETWORKS": settings.webhook_networks,
        "PWW_WEBHOOK_FIRST_PAUSE_S": "0.1",
        "PWW_WEBHOOK_HOLD_S": "6",
        "PWW_WEBHOOK_TIMEOUT_S": "3",
    }

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "pywhatsweb_fleet.webhooks"], env=environ)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(10)
