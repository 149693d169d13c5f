"""Credentials while the database is away; it is played by the test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pywhatsweb_fleet.session_worker import vault
from pywhatsweb_fleet.session_worker.vault import Vault
from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.faults import Fenced, StorageUnavailable


class Database:
    """Raises each of ``troubles`` once, then does what it is asked."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.done: list[tuple[Any, ...]] = []

    async def submit(self, tenant: str, work: Any, *args: Any) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.done.append((tenant, work, *args))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_FIRST_PAUSE_S", 0.0)


def vault_with(database: Database) -> Vault:
    deps: Any = SimpleNamespace(group=database, keyring=None)
    return Vault(deps, ("acme", "s1"), 7)


async def test_a_log_out_forgets_the_device_though_the_database_was_away() -> None:
    """It was tried once, and the keys of an unlinked device stayed for ever."""
    database = Database(StorageUnavailable(), StorageUnavailable())
    await vault_with(database).wipe()
    assert database.done == [("acme", credentials.wipe, "acme", "s1", 7)]


async def test_what_a_newer_owner_has_is_left() -> None:
    database = Database(StorageUnavailable(), Fenced(7, 8))
    await vault_with(database).wipe()
    assert database.done == []


async def test_a_fenced_owner_loads_nothing() -> None:
    with pytest.raises(Fenced):
        await vault_with(Database(Fenced(7, 8))).load()
