"""Stored files on both databases, in a folder, and links through a resolver and a connector of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.media.opening import Shelf, open_shelf
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store


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
