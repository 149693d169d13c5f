"""A record to look into, and a tenant with two sessions that work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.storage.store import Store, open_store
from tests.support import NatsServer
from tests.support.dispatching import User
from tests.support.fleet import platform
from tests.support.inboxes import tell


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Store]:
    """The record, as the persistence service writes it."""
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
async def numbers(nats_server: NatsServer, record: Store) -> AsyncIterator[User]:
    """With two sessions that work."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        user = User(tenant)
        for session in ("s1", "s2"):
            await tenant.wish(session)
            await tell(user, session)
        yield user
