"""One fleet for the whole folder: `pww up` with the sandbox and two tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import pywhatsweb
from pywhatsweb.client import FleetClient
from tests.support.running import Fleet, Plain, Sandbox, plain, sandbox


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory: Path = tmp_path_factory.mktemp("fleet")
    running = Fleet(
        directory,
        "--tenant",
        "demo",
        "--tenant",
        "acme",
        env={"PWW_LOG_LEVEL": "debug", "PWW_LOG_FORMAT": "json", "PWW_METRICS_LABELS": "session"},
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[FleetClient]:
    known = fleet.ready["tenants"]["demo"]
    async with pywhatsweb.connect(
        fleet.ready["nats_url"], user=known["user"], password=known["password"]
    ) as connected:
        yield connected


@pytest.fixture
async def program(fleet: Fleet) -> AsyncIterator[Plain]:
    async with plain(fleet) as found:
        yield found


@pytest.fixture
async def whatsapp(fleet: Fleet) -> AsyncIterator[Sandbox]:
    async with sandbox(fleet) as found:
        yield found
