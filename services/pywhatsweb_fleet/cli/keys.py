"""``pww rotate-key``: another master key, while everything runs (RUNBOOKS.md)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str
    encryption_key: str
    encryption_key_file: str | None = None


def rotate_key(
    *, new: bool = False, drop: bool = False, data_dir: Path | None = None, form: Answer = "human"
) -> int:
    """Seal every data key of the database anew under the first master key; no service is restarted.

    PWW_DATABASE_URL and PWW_ENCRYPTION_KEY_FILE (or PWW_ENCRYPTION_KEY) are those of the services, which find a key
    that came into that file when they meet it.

    Parameters
    ----------
    new
        Make a new key and put it first in the file; before, nothing is sealed under it.
    drop
        Take the keys that nothing needs any more out of the file; a backup that has no key of its own needs them.
    data_dir
        Of a `pww up`, instead of those settings.
    """
    from pywhatsweb_fleet.storage.connections import UnknownDatabase
    from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable
    from pywhatsweb_fleet.storage.sealing import MasterKeyError
    from pywhatsweb_fleet.storage.store import open_store
    from pywhatsweb_fleet.up import rotating
    from pywhatsweb_runtime import settings

    async def run() -> rotating.Rotated:
        where = settings.load(_Where, _environ(data_dir))
        file = Path(where.encryption_key_file) if where.encryption_key_file else None
        store = open_store(where.database_url)
        try:
            await store.migrate()
            return await rotating.rotate(store, where.encryption_key, file, new=new, drop=drop)
        finally:
            await store.close()

    try:
        done = asyncio.run(run())
    except (settings.SettingsError, MasterKeyError, UnknownDatabase) as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None
    except rotating.RotationError as error:
        raise exits.CommandError(str(error)) from None
    except StorageUnavailable as error:
        raise exits.CommandError(str(error), exit_code=exits.UNREACHABLE) from None
    except OSError as error:
        raise exits.CommandError(f"{error.filename}: {error.strerror}.") from None
    except Unsealable as error:
        raise exits.CommandError(
            f"{error}.", action="Name every key that was ever in use; the first one is the new one."
        ) from None
    if form == "json":
        show.json_line(msgspec.to_builtins(done))
        return exits.OK
    print(f"{done.sealed_anew} data keys were sealed anew: the key {done.master_key} opens everything now.")
    if done.dropped:
        print(f"Taken out of the file: {', '.join(done.dropped)}.")
    return exits.OK


def _environ(data_dir: Path | None) -> dict[str, str]:
    """With a data directory's own where nothing else is set, as `pww up` does."""
    environ = dict(os.environ)
    if data_dir is None:
        return environ
    from pywhatsweb_fleet.broker.secrets import ENCRYPTION_KEY_FILE
    from pywhatsweb_fleet.up.datadir import Layout

    layout = Layout(data_dir.absolute())
    if not environ.get("PWW_DATABASE_URL") and not environ.get("PWW_DATABASE_URL_FILE"):
        environ["PWW_DATABASE_URL"] = f"sqlite:///{layout.database}"
    if not environ.get("PWW_ENCRYPTION_KEY") and not environ.get("PWW_ENCRYPTION_KEY_FILE"):
        environ["PWW_ENCRYPTION_KEY_FILE"] = str(layout.root / ENCRYPTION_KEY_FILE)
    return environ
