"""The service's part in files: it answers ``media.*``, and sweeps what expired or nobody holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.media.opening import Shelf, open_shelf
from pywhatsweb_fleet.persistence import files
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import FindTenant, answering
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.health import Health

log = structlog.get_logger(__name__)

_SWEEP_EVERY_S = 300.0


@contextlib.asynccontextmanager
async def filing(
    bus: Bus, store: Store, settings: PersistenceSettings, find: FindTenant, health: Health
) -> AsyncIterator[Shelf | None]:
    """Answers while the block lasts. Without a place for files, or a key to seal them, nobody does (None)."""
    shelf = None
    if settings.encryption_key:
        keyring = Keyring.parse(settings.encryption_key, settings.encryption_key_file)
        health.details["master_keys"] = keyring.ids
        shelf = open_shelf(settings.files, store, keyring)
    if shelf is None:
        log.warning("no PWW_ENCRYPTION_KEY: files are not stored")
        yield None
        return
    served = files.Files(store, shelf.library, shelf.uploads, shelf.fitting, health.metrics)
    try:
        async with answering(
            bus,
            "media",
            "Stored files",
            served.answers(),
            find=find,
            refusals=files.REFUSALS,
            max_request_bytes=files.MAX_REQUEST_BYTES,
        ):
            yield shelf
    finally:
        await shelf.fitting.close()


async def sweep(shelf: Shelf | None, every_s: float = _SWEEP_EVERY_S) -> None:
    """Runs beside the service; what fails is done the next time."""
    while True:
        if shelf is not None:
            try:
                count = await shelf.library.sweep() + await shelf.uploads.sweep()
                if count:
                    log.info("files removed", count=count)
            except (StorageUnavailable, ObjectsUnavailable) as error:
                log.warning("sweeping files waits", error=type(error).__name__)
        await asyncio.sleep(every_s)
