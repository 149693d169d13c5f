"""What the law asks for, wired: erasures, exports, retention and the trail, answered and carried on."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.persistence.auditing import Auditing
from pywhatsweb_fleet.persistence.duties import Duty
from pywhatsweb_fleet.persistence.erasing import Erasures
from pywhatsweb_fleet.persistence.exporting import Exports
from pywhatsweb_fleet.persistence.recording import Familiar
from pywhatsweb_fleet.persistence.retention import Retention
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Answer, answering
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.tenants import Tenants

log = structlog.get_logger(__name__)

_REFUSALS = {
    StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE,
    ObjectsUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE,
}


async def _none(_tenant: str, _subject: str) -> int:
    return 0


@contextlib.asynccontextmanager
async def obeying(  # noqa: PLR0917 - wired in one place
    bus: Bus,
    store: Store,
    publisher: Publisher,
    tenants: Tenants,
    familiar: Familiar,
    settings: PersistenceSettings,
    files: Library | None,
) -> AsyncIterator[list[Coroutine[Any, Any, None]]]:
    """Answers while the block lasts; gives the work that is to run beside the service.

    Without ``files``, the tenants' stored files, no exports are offered: that is where they are kept.
    """
    exports = Exports(store, files, tenants.find) if files is not None else None
    if exports is None:
        log.warning("files are not stored, so data.export is not offered")
    drop = exports.drop_of if exports is not None else _none
    erasures = Erasures(store, settings.store_url, bus, publisher, tenants.find, drop, files)
    erasures.forget.append(familiar.forget)
    retention = Retention(store, bus)
    auditing = Auditing(store, bus)
    await auditing.prepare(settings.replicas)
    answers: dict[str, Answer] = {
        "data.erase": erasures.erase,
        "data.erase_status": erasures.erase_status,
        "retention.get": retention.get,
        "retention.set": retention.set,
        "audit.verify": auditing.verify,
    }
    myself = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    duties = {name: Duty(store, name, myself) for name in ("erase", "export", "retention")}
    works = [
        erasures.keep(duties["erase"]),
        retention.keep(duties["retention"], tenants, settings.retention_every_s),
        auditing.keep(tenants, settings.anchor_every_s),
    ]
    if exports is not None:
        answers |= {
            "data.export": exports.export,
            "data.export_status": exports.export_status,
            "data.download": exports.download,
        }
        works.append(exports.keep(duties["export"]))
    async with answering(
        bus, "law", "Personal data, retention, audit", answers, find=tenants.find, refusals=_REFUSALS
    ):
        try:
            yield works
        finally:
            for work in works:
                work.close()
            for duty in duties.values():
                await duty.leave()
