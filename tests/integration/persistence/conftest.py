"""The service on a real broker and either database."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.persistence import app
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_runtime.bus import Bus
from tests.support import NatsServer, wait_until


@contextlib.asynccontextmanager
async def serving(settings: PersistenceSettings, ready: Path) -> AsyncIterator[asyncio.Event]:
    """The service in this process, while the block lasts; ends with an error of its own if it had one."""
    stopping = asyncio.Event()
    task = asyncio.create_task(app.run(settings, stopping))
    try:
        await wait_until(lambda: ready.exists() or task.done(), 20, message="the service is ready")
        yield stopping
    finally:
        stopping.set()
        await asyncio.wait_for(task, 20)


@pytest.fixture
def settings(nats_server: NatsServer, database_url: str, tmp_path: Path) -> PersistenceSettings:
    return PersistenceSettings(
        nats_url=nats_server.url, database_url=database_url, batch=50, ready_file=str(tmp_path / "ready"),
        sql_deadline_s=2.0,
    )  # fmt: skip


@pytest.fixture
async def service(settings: PersistenceSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[None]:
    """One replica."""
    async with serving(settings, tmp_path / "ready"):
        yield


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(nats_server: NatsServer, tmp_path: Path) -> Iterator[Start]:
    """Starts replicas as processes of their own; those left are killed at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(database_url: str, **more: str) -> subprocess.Popen[bytes]:
        environ = os.environ | {
            "PWW_NATS_URL": nats_server.url,
            "PWW_DATABASE_URL": database_url,
            "PWW_BATCH": "50",
            "PWW_ACK_WAIT_S": "1",
            "PWW_SQL_DEADLINE_S": "2",
            **more,
        }
        with (tmp_path / "service.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pywhatsweb_fleet.persistence"], env=environ, stdout=log, stderr=log
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait(10)
