"""`pww backup`: a fleet, running or not, as one sealed file.

The streams come first and the database after them, so the database knows at least what the streams hold: whatever was
recorded, claimed or sent up to then is on record, and what was still queued is told apart at the restore (`restores`).
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from pywhatsweb import __version__
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.streams import TENANTS_BUCKET
from pywhatsweb_fleet.broker import process as broker
from pywhatsweb_fleet.broker import secrets
from pywhatsweb_fleet.storage import copying, migrating
from pywhatsweb_fleet.up import ready_file, sealed_archive, snapshots
from pywhatsweb_fleet.up.datadir import Layout, Ports, holder, locked
from pywhatsweb_fleet.up.embedded import EmbeddedBroker
from pywhatsweb_fleet.up.sealed_archive import Writer
from pywhatsweb_runtime.bus import BrokerSettings, connect
from pywhatsweb_runtime.kv import Bucket

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SECRETS: Final = (secrets.SECRETS_FILE, secrets.ENCRYPTION_KEY_FILE)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of; its first file."""

    format: int
    version: str
    made_at: str
    schema: str
    """The newest migration that this code knows: the database's own may be older."""
    database: str
    """sqlite or postgresql."""
    stopped: bool
    """Whether the fleet stood still: then what it had queued was not sent by it afterwards, unless it is started."""
    tenants: list[str]
    streams: dict[str, dict[str, Any]]
    """Config and state of each."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet lies."""

    broker: BrokerSettings
    database_url: str
    secrets: Path | None = None
    """The directory with `SECRETS`; None: they are kept elsewhere."""
    media: Path | None = None
    """The folder of stored files; None: they are in an object store, which has copies of its own."""
    stopped: bool = False


async def of_data_dir(layout: Layout, database_url: str | None, path: Path, key: bytes) -> Manifest:
    """Of what `pww up` keeps in a data directory, whether it runs or not. Raises SecretsError, StartError, …"""
    found = secrets.load(layout.root)
    if found is None:
        raise secrets.SecretsError(f"{layout.root} holds no fleet.")
    url = database_url or f"sqlite:///{layout.database}"

    def source(at: str, *, stopped: bool) -> Source:
        user = found.platform
        where = BrokerSettings(nats_url=at, nats_user=user.user, nats_password=user.password)
        return Source(
            broker=where, database_url=url, secrets=layout.root, media=layout.media, stopped=stopped
        )

    if holder(layout) is not None:
        ready = ready_file.read(layout.ready)
        if ready is None:
            raise secrets.SecretsError(f"the fleet on {layout.root} is starting or stopping; try again.")
        return await backup(source(ready.nats_url, stopped=False), path, key)
    with locked(layout):
        embedded = EmbeddedBroker(layout, Ports(layout).choose("nats"), found)
        process = await embedded.start()
        try:
            await embedded.until_up(process)
            return await backup(source(embedded.url, stopped=True), path, key)
        finally:
            await broker.stop(process)


async def backup(source: Source, path: Path, key: bytes) -> Manifest:
    """Raises BrokerUnavailable, ApiError, StorageUnavailable or OSError; then there is no file."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        spool = Path(beside)
        streams: dict[str, dict[str, Any]] = {}
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(connect(source.broker, name="pww backup"))
            for name in await snapshots.names(bus):
                with (spool / name).open("wb") as file:
                    streams[name] = await snapshots.save(bus, name, file)
            tenants = [entry.key for entry in await Bucket(bus, TENANTS_BUCKET).all()]
        manifest = Manifest(
            format=FORMAT,
            version=__version__,
            made_at=timestamp(),
            schema=migrating.head() or "",
            database=copying.kind(source.database_url),
            stopped=source.stopped,
            tenants=sorted(tenants),
            streams=streams,
        )
        await asyncio.to_thread(_write, source, manifest, spool, path, key)
    return manifest


def _write(source: Source, manifest: Manifest, spool: Path, path: Path, key: bytes) -> None:
    with sealed_archive.writing(path, key) as archive:
        archive.add_bytes(MANIFEST, msgspec.json.encode(manifest))
        if source.secrets is not None:
            for name in SECRETS:
                if (source.secrets / name).exists():
                    archive.add_file(f"secrets/{name}", source.secrets / name)
        if manifest.database == "sqlite":
            copy = spool / "database"
            copying.copy_sqlite(copying.sqlite_path(source.database_url), copy)
            archive.add_file("database/sqlite", copy)
            copy.unlink()
        else:
            _dump(source.database_url, spool, archive)
        for name in manifest.streams:
            archive.add_file(f"streams/{name}", spool / name)
            (spool / name).unlink()
        if source.media is not None and source.media.is_dir():
            _add_media(source.media, archive)


def _dump(url: str, spool: Path, archive: Writer) -> None:
    with copying.dumping(url) as tables:
        for name, pieces in tables:
            table = spool / f"table-{name}"
            with table.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            columns = msgspec.json.encode(copying.columns_of(name))
            archive.add_bytes(f"database/{name}.columns", columns)
            archive.add_file(f"database/{name}.rows", table)
            table.unlink()


def _add_media(folder: Path, archive: Writer) -> None:
    for path in sorted(folder.rglob("*")):
        # With a # they are writes under way, which nothing names yet.
        if path.is_file() and "#" not in path.name:
            try:
                archive.add_file(f"media/{path.relative_to(folder)}", path)
            except FileNotFoundError:
                continue  # it was past its time, and removed meanwhile
