"""One session's credentials in the database, which refuses an owner's epoch once there is a newer one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.faults import Fenced, StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.sealing import Keyring

log = structlog.get_logger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 5.0


class Vault:
    """Of one owner. While the database is away `load` and `wipe` wait for it, however long that takes."""

    def __init__(self, deps: Deps, key: tuple[str, str], epoch: int) -> None:
        self._deps = deps
        self._key = key
        self._epoch = epoch

    async def load(self) -> bytes | None:
        """The device's record, from a database that refuses older epochs from now on. Raises Fenced, Unsealable."""
        return await self._patiently(
            lambda: self._deps.group.submit(
                self._key[0], _fence_and_load, self._deps.keyring, *self._key, self._epoch
            )
        )

    async def wipe(self) -> None:
        """Nobody can open the device again. What a newer owner has is left."""
        with contextlib.suppress(Fenced):
            await self._patiently(
                lambda: self._deps.group.submit(self._key[0], credentials.wipe, *self._key, self._epoch)
            )

    async def keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Raises EngineError(E_STORAGE_UNAVAILABLE, E_CREDENTIALS_UNREADABLE)."""
        try:
            return await self._deps.store.read(
                credentials.get_keys, self._deps.keyring, *self._key, kind, list(ids)
            )
        except StorageUnavailable as error:
            raise port.EngineError("E_STORAGE_UNAVAILABLE", str(error)) from error
        except Unsealable as error:
            raise port.EngineError("E_CREDENTIALS_UNREADABLE", str(error)) from error

    async def write(self, units: Sequence[port.KeysUnit]) -> None:
        """Together with what other sessions write now. Raises Fenced and StorageUnavailable."""
        creds = next((unit.creds for unit in reversed(units) if unit.creds is not None), None)
        rows = [row for unit in units for row in unit.rows]
        write = credentials.Write(*self._key, self._epoch, creds, rows)
        await self._deps.group.submit_to(self._key[0], self._deps.write_credentials, write)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await work()
            except StorageUnavailable:
                log.warning(
                    "a session waits for the database",
                    tenant=self._key[0],
                    session=self._key[1],
                    epoch=self._epoch,
                )
                await asyncio.sleep(pause)
                pause = min(_LAST_PAUSE_S, 2 * pause)


def _fence_and_load(
    conn: Connection, keyring: Keyring, tenant: str, session: str, epoch: int
) -> bytes | None:
    credentials.fence(conn, tenant, session, epoch)
    return credentials.load_creds(conn, keyring, tenant, session)
