"""Brings the database's schema up to date: run by `pww up` as a process of its own, so that it stays small itself."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import lifecycle, settings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str


async def migrate(url: str) -> None:
    store = open_store(url)
    try:
        await store.migrate()
    finally:
        await store.close()


if __name__ == "__main__":
    try:
        found = settings.load(Settings, os.environ)
    except settings.SettingsError as error:
        sys.exit(lifecycle.fail(str(error)))
    asyncio.run(migrate(found.database_url))
