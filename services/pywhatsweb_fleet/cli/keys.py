"""``pww rotate-key``: the master key's last step of a rotation (RUNBOOKS.md)."""

from __future__ import annotations

import asyncio
import os

import msgspec

from pywhatsweb_fleet.cli import exits

_AT_ONCE = 1000


class _Where(msgspec.Struct, frozen=True, kw_only=True):
    database_url: str
    encryption_key: str


def rotate_key() -> int:
    """Seal every data key of the database anew under the first key of PWW_ENCRYPTION_KEY.

    PWW_DATABASE_URL and PWW_ENCRYPTION_KEY (or their _FILE variants) are those of the session workers.
    """
    from pywhatsweb_fleet.storage import credentials
    from pywhatsweb_fleet.storage.connections import UnknownDatabase
    from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable
    from pywhatsweb_fleet.storage.sealing import Keyring, MasterKeyError
    from pywhatsweb_fleet.storage.store import open_store
    from pywhatsweb_runtime import settings

    async def run() -> int:
        where = settings.load(_Where, os.environ)
        keyring = Keyring.parse(where.encryption_key)
        store = open_store(where.database_url)
        try:
            total = 0
            while True:
                done = await store.transact(credentials.rotate, keyring, _AT_ONCE)
                total += done
                if done < _AT_ONCE:
                    return total
        finally:
            await store.close()

    try:
        total = asyncio.run(run())
    except (settings.SettingsError, MasterKeyError, UnknownDatabase) as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None
    except StorageUnavailable as error:
        raise exits.CommandError(str(error), exit_code=exits.UNREACHABLE) from None
    except Unsealable as error:
        raise exits.CommandError(
            f"{error}.", action="Name every key that was ever in use; the first one is the new one."
        ) from None
    print(f"{total} data keys were sealed anew: the first key alone opens everything now.")
    return exits.OK
