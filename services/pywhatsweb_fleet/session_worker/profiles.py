"""Browser profiles that nobody on this machine needs any more: they hold a login, unsealed, and are taken away.

A profile is of use as long as it is newer than the sealed one in the store, or a browser has it. Folders are shared by
the workers of a machine, so whatever changed lately is left alone; a sidecar whose profile is gone all the same lays
out the stored one anew (``sidecar-node/src/engines/webjs/profile.ts``, which writes both records that are read here).
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import psutil
import structlog

from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable

log = structlog.get_logger(__name__)

EVERY_S: Final = 60.0
QUIET_S: Final = 600.0
"""Longer than a browser takes to start, or the database to come back."""
_MARKER: Final = "profile.json"
_SWEPT: Final = ".swept-"

Key = tuple[str, str]
"""Tenant and session."""


class Marker(msgspec.Struct, frozen=True):
    """Beside a profile: whose it is, and which opening of it this machine did last."""

    profile: str
    generation: int
    session: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    generation: int


class Record(msgspec.Struct, frozen=True):
    """In the store: the last opening anywhere, and the one after which the profile was sealed."""

    profile: str
    generation: int
    snapshot: Snapshot | None = None


class Profiles:
    """Those of one folder. ``owns``: whether this worker has the session; ``creds``: its record, None for none.

    ``creds`` raises StorageUnavailable or Unsealable: then nothing is taken away.
    """

    def __init__(
        self,
        folder: Path,
        owns: Callable[[Key], bool],
        creds: Callable[[Key], Awaitable[bytes | None]],
        *,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._folder = folder
        self._owns = owns
        self._creds = creds
        self._quiet_s = quiet_s

    async def run(self) -> None:
        """Sweeps now and again, for ever."""
        while True:
            try:
                await self.sweep()
            except (OSError, StorageUnavailable, Unsealable) as error:
                log.warning("browser profiles were not looked at", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """How many were taken away. Raises OSError, StorageUnavailable, Unsealable."""
        count = 0
        for folder in await asyncio.to_thread(self._quiet):
            if await self._is_needed(folder) or await asyncio.to_thread(_has_browser, folder):
                continue
            await asyncio.to_thread(_remove, folder)
            log.info("a browser profile that nobody needs was removed", profile=folder.name)
            count += 1
        return count

    def _quiet(self) -> list[Path]:
        """Nothing began or ended in them lately; what an earlier sweep did not finish goes at once."""
        if not self._folder.is_dir():
            return []
        before = time.time() - self._quiet_s
        found = []
        for path in self._folder.iterdir():
            if path.name.startswith(_SWEPT):
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(".") and path.is_dir() and _changed(path) <= before:
                found.append(path)
        return found

    async def _is_needed(self, folder: Path) -> bool:
        marker = _marker(folder)
        if marker is None:
            return False  # a pairing that came to nothing
        tenant, _, session = marker.session.partition("/")
        if not session or self._owns((tenant, session)):
            return True
        stored = await self._creds((tenant, session))
        if stored is None:
            return False
        record = msgspec.json.decode(stored, type=Record)
        if record.profile != marker.profile or marker.generation < record.generation:
            return False
        # What was read first is the older one: opened meanwhile, the folder is of a later generation than the record.
        sealed = record.snapshot is not None and record.snapshot.generation == record.generation
        again = _marker(folder)
        return not sealed or again is None or again.generation != record.generation


def _changed(folder: Path) -> float:
    """Chromium makes and removes files of its own in the profile's first folder when it starts and ends."""
    return max(_mtimes(folder, folder / "session", folder / _MARKER), default=0.0)


def _mtimes(*paths: Path) -> Iterator[float]:
    for path in paths:
        try:
            yield path.stat().st_mtime
        except FileNotFoundError:
            continue


def _marker(folder: Path) -> Marker | None:
    try:
        return msgspec.json.decode((folder / _MARKER).read_bytes(), type=Marker)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _has_browser(folder: Path) -> bool:
    mark = f"--user-data-dir={folder}/"
    for process in psutil.process_iter(["cmdline"]):
        if any(f"{word}/".startswith(mark) for word in process.info["cmdline"] or ()):
            return True
    return False


def _remove(folder: Path) -> None:
    """At once out of everybody's sight, then file by file; a crash between is ended by the next sweep."""
    gone = folder.with_name(_SWEPT + folder.name)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
