"""``pww backup`` and ``pww restore``: a fleet as one encrypted file."""

from __future__ import annotations

import asyncio
import os
import secrets as random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer
from pywhatsweb_fleet.cli.progress import progress

T = TypeVar("T")


class _Database(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str | None = None


def backup(
    file: Path,
    /,
    *,
    key_file: Path,
    new_key: bool = False,
    data_dir: Path | None = None,
    secrets: Path | None = None,
    media: Path | None = None,
    form: Answer = "human",
) -> int:
    """Write an encrypted copy of a fleet, running or not: secrets, database, streams, files.

    Of the fleet that `pww up` runs here; or, when PWW_NATS_URL and PWW_DATABASE_URL are set and --data-dir is not, of
    the one that those name (with the platform's user).

    Parameters
    ----------
    file
        The file to write.
    key_file
        The key: 64 hex digits. Keep it elsewhere than the backups: without it they are lost.
    new_key
        Make the key file, which must not be there yet.
    data_dir
        The data directory of the `pww up`.
    secrets
        Of a fleet in containers: the directory of `pww setup`'s secrets to take along.
    media
        Of a fleet in containers: the folder of stored files; an object store has copies of its own.
    """
    from pywhatsweb_fleet.up import backups
    from pywhatsweb_fleet.up.datadir import Layout

    key = _key(key_file, make=new_key)
    if (named := _services(data_dir)) is not None:
        where, url = named
        source = backups.Source(broker=where, database_url=url, secrets=secrets, media=media)
        manifest = _run(backups.backup(source, file, key), file)
    else:
        layout = Layout(_data_dir(data_dir))
        manifest = _run(backups.of_data_dir(layout, _database_url(), file, key), file)
    told = {
        "file": str(file),
        "size": file.stat().st_size,
        "tenants": ", ".join(manifest.tenants),
        "streams": len(manifest.streams),
        "database": manifest.database,
    }
    if form == "json":
        show.json_line(told)
    else:
        show.pairs(told)
    return exits.OK


def restore(
    file: Path,
    /,
    *,
    key_file: Path,
    data_dir: Path | None = None,
    secrets: Path | None = None,
    media: Path | None = None,
    keep_queues: bool = False,
    form: Answer = "human",
) -> int:
    """Bring a fleet back where there is none: then start it, and its sessions resume without a QR code.

    What was queued at the backup is not sent again, since it may have been sent after it: it ends as `unknown`.

    Parameters
    ----------
    file
        A backup.
    key_file
        The key that it was made with.
    data_dir
        A directory that is absent or empty, for `pww up`. Without it, and with PWW_NATS_URL and PWW_DATABASE_URL set,
        the backup goes into that empty database and broker.
    secrets
        Of a fleet in containers: where to put the secrets of the backup.
    media
        Of a fleet in containers: where to put the stored files.
    keep_queues
        Send what was queued: only when the other fleet stood still at the backup and will never start again.
    """
    from pywhatsweb_fleet.up import restores

    key = _key(key_file, make=False)
    if (named := _services(data_dir)) is not None:
        where, url = named
        work = restores.into_services(
            file, key, where, url, secrets_dir=secrets, media=media, keep_queues=keep_queues
        )
    else:
        work = restores.into_data_dir(file, key, _data_dir(data_dir), keep_queues=keep_queues)
    restored = _run(work, file)
    told = {
        "made_at": restored.manifest.made_at,
        "tenants": ", ".join(restored.manifest.tenants),
        "streams": len(restored.manifest.streams),
        "unknown": restored.unknown,
    }
    if form == "json":
        show.json_line(told)
    else:
        show.pairs(told)
        if restored.unknown:
            print(
                f"{restored.unknown} commands were queued at the backup; they are told as unknown, and not sent."
            )
    return exits.OK


def _run(work: Coroutine[Any, Any, T], file: Path) -> T:
    from pywhatsweb.errors import StorageError, error_body
    from pywhatsweb_fleet.broker.process import BrokerRefused
    from pywhatsweb_fleet.broker.secrets import SecretsError
    from pywhatsweb_fleet.cli.link import refused
    from pywhatsweb_fleet.storage.faults import StorageUnavailable
    from pywhatsweb_fleet.up.datadir import StartError
    from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

    try:
        with progress(f"working on {file.name}"):
            return asyncio.run(work)
    except StorageError as error:
        raise refused(error_body(error.code, error.details)) from None
    except (StorageUnavailable, BrokerUnavailable) as error:
        raise exits.CommandError(f"{error}.", exit_code=exits.UNREACHABLE) from None
    except (ApiError, BrokerRefused, SecretsError, StartError) as error:
        raise exits.CommandError(str(error)) from None
    except OSError as error:
        raise exits.CommandError(f"{error.filename or file}: {error.strerror}.") from None


def _key(path: Path, *, make: bool) -> bytes:
    if make:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise exits.CommandError(f"{path}: {error.strerror}.", exit_code=exits.USAGE) from None
        with os.fdopen(handle, "w") as file:
            file.write(random.token_hex(32) + "\n")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise exits.CommandError(f"{path}: {error.strerror}.", exit_code=exits.USAGE) from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise exits.CommandError(f"{path} does not hold 64 hex digits.", exit_code=exits.USAGE)
    return key


def _services(data_dir: Path | None) -> tuple[Any, str] | None:
    """The broker and the database that the environment names, where no data directory is meant."""
    from pywhatsweb_runtime import settings
    from pywhatsweb_runtime.bus import BrokerSettings

    url = _database_url()
    if data_dir is not None or url is None or not os.environ.get("PWW_NATS_URL"):
        return None
    try:
        return settings.load(BrokerSettings, os.environ), url
    except settings.SettingsError as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None


def _database_url() -> str | None:
    from pywhatsweb_runtime import settings

    try:
        return settings.load(_Database, os.environ).database_url
    except settings.SettingsError as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None


def _data_dir(data_dir: Path | None) -> Path:
    from pywhatsweb_fleet.up import places

    return (data_dir or places.default_data_dir(os.environ)).absolute()
