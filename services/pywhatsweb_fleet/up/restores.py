"""`pww restore`: a fleet back from a backup, where there is none; all of it, or nothing.

The archive is read to its end before anything is touched. Then everything is put beside its place (a directory that is
renamed at the end; a transaction that is committed at the end), so what breaks off leaves nothing half restored.

What was queued when the backup was made may have been sent since by the fleet that it is of. So it is not sent again:
commands, queues and schedules come back empty, and each command that had no end yet ends as `unknown`. Only who knows
that the other fleet stood still, and will never start again, asks for the queues (``keep_queues``).
"""

# ruff: noqa: ASYNC240 - a command has nothing else to do while it waits for its files
from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import IO, Final

import msgspec

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb_fleet.broker import process as broker
from pywhatsweb_fleet.broker import secrets
from pywhatsweb_fleet.storage import copying, migrating
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_fleet.up import sealed_archive, snapshots
from pywhatsweb_fleet.up.backups import FORMAT, MANIFEST, Manifest
from pywhatsweb_fleet.up.datadir import Layout, Ports
from pywhatsweb_fleet.up.embedded import EmbeddedBroker
from pywhatsweb_fleet.up.requeueing import Execute, bring_back
from pywhatsweb_runtime.bus import BrokerSettings, connect

_CHUNK: Final = 256 * 1024


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; ``unknown``: commands that ended so, because they may have been sent since the backup."""

    manifest: Manifest
    unknown: int


def not_empty(what: str) -> StorageError:
    return StorageError(ErrorCode.E_RESTORE_NOT_EMPTY, {"what": what})


async def into_data_dir(path: Path, key: bytes, target: Path, *, keep_queues: bool = False) -> Restored:
    """Into a directory that `pww up` is to start on, which is absent or empty.

    Raises StorageError (E_BACKUP_KEY, E_BACKUP_DAMAGED, E_RESTORE_NOT_EMPTY), BrokerUnavailable, ApiError, OSError.
    """
    if target.exists() and any(target.iterdir()):
        raise not_empty(str(target))
    await asyncio.to_thread(sealed_archive.verify, path, key)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.restoring-", dir=target.parent))
    try:
        layout = Layout(beside)
        layout.make()
        spool = beside / "spool"
        spool.mkdir()
        manifest = await asyncio.to_thread(_unpack, path, key, layout, spool)
        if manifest.database != "sqlite":
            raise sealed_archive.damaged("it is of a fleet on PostgreSQL; name its database and broker")
        store = open_store(f"sqlite:///{layout.database}")
        try:
            await store.migrate()
        finally:
            await store.close()
        found = secrets.load(beside)
        if found is None:
            raise sealed_archive.damaged("it holds no secrets")
        embedded = EmbeddedBroker(layout, Ports(layout).choose("nats"), found)
        process = await embedded.start()
        try:
            await embedded.until_up(process)
            user = found.platform
            where = BrokerSettings(nats_url=embedded.url, nats_user=user.user, nats_password=user.password)
            async with connect(where, name="pww restore") as bus, _sqlite(layout.database) as execute:
                unknown = await bring_back(bus, manifest, spool, execute, keep_queues=keep_queues)
        finally:
            await broker.stop(process)
        shutil.rmtree(spool)
        layout.ports.unlink(missing_ok=True)
        if target.exists():
            target.rmdir()
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return Restored(manifest=manifest, unknown=unknown)


async def into_services(
    path: Path, key: bytes, where: BrokerSettings, database_url: str, *,
    secrets_dir: Path | None = None, media: Path | None = None, keep_queues: bool = False,
) -> Restored:  # fmt: skip
    """Into an empty PostgreSQL and a broker without a fleet's streams; raises as `into_data_dir` does."""
    await asyncio.to_thread(sealed_archive.verify, path, key)
    if not await asyncio.to_thread(copying.is_empty, database_url):
        raise not_empty("the database")
    for folder in (media, secrets_dir):
        if folder is not None and folder.exists() and any(folder.iterdir()):
            raise not_empty(str(folder))
    store = open_store(database_url)
    try:
        await store.migrate()
    finally:
        await store.close()
    with tempfile.TemporaryDirectory(prefix="pww-restore-") as spooled:
        layout = Layout(Path(spooled) / "files")
        layout.make()
        spool = Path(spooled) / "spool"
        spool.mkdir()
        manifest = await asyncio.to_thread(_unpack, path, key, layout, spool)
        if manifest.database != "postgresql":
            raise sealed_archive.damaged("it is of a fleet on SQLite; restore it into a data directory")
        async with connect(where, name="pww restore") as bus:
            present = set(await snapshots.names(bus)) & manifest.streams.keys()
            if present:
                raise not_empty("the broker")
            try:
                with copying.loading(database_url) as load:
                    await asyncio.to_thread(_load, spool, load)
                    unknown = await bring_back(bus, manifest, spool, load.execute, keep_queues=keep_queues)
            except BaseException:
                await snapshots.remove(bus, manifest.streams)
                raise
        for folder, inside in ((media, layout.media), (secrets_dir, None)):
            if folder is not None:
                shutil.copytree(
                    inside or layout.root, folder, dirs_exist_ok=True, ignore=None if inside else _secrets
                )
    return Restored(manifest=manifest, unknown=unknown)


def _secrets(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name not in (secrets.SECRETS_FILE, secrets.ENCRYPTION_KEY_FILE)]


# Unpacking.


def _unpack(path: Path, key: bytes, layout: Layout, spool: Path) -> Manifest:
    """Files into their places; the database's tables and the streams into the spool."""
    manifest: Manifest | None = None
    with sealed_archive.reading(path, key) as members:
        for name, content in members:
            folder, _, rest = name.partition("/")
            if name == MANIFEST:
                manifest = _manifest(content.read())
            elif name == "database/sqlite":
                _put(content, layout.database)
            elif folder == "secrets":
                _put(content, layout.root / rest)
            elif folder == "media":
                _put(content, layout.media / rest)
            elif folder in ("database", "streams"):
                _put(content, spool / name)
    if manifest is None:
        raise sealed_archive.damaged("it holds no manifest")
    return manifest


def _manifest(raw: bytes) -> Manifest:
    try:
        found = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError:
        raise sealed_archive.damaged("its manifest is of another kind") from None
    if found.format != FORMAT or found.schema > (migrating.head() or ""):
        raise sealed_archive.damaged(f"it was made by a newer version ({found.version}): update first")
    return found


def _put(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, _CHUNK)


def _load(spool: Path, load: copying.Load) -> None:
    for rows in sorted((spool / "database").glob("*.rows")):
        columns = msgspec.json.decode((rows.with_suffix(".columns")).read_bytes(), type=list[str])
        try:
            with rows.open("rb") as content:
                load.table(rows.stem, columns, content)
        except KeyError:
            raise sealed_archive.damaged(f"its table {rows.stem} is not as this version has it") from None


@asynccontextmanager
async def _sqlite(path: Path) -> AsyncIterator[Execute]:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield lambda sql, *values: conn.execute(sql, values).fetchall()
        conn.execute("COMMIT")
