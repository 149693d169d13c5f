"""A rotation of the master key, in steps that can each be the last: what was done stays good, and it may run again.

The new key is in the file before anything is sealed under it, and the former one until nothing is (ADR 0021). Services
read the file again when they meet a key that they do not know, so none is restarted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets as random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pywhatsweb_fleet.broker.secrets import write_private
from pywhatsweb_fleet.storage import data_keys
from pywhatsweb_fleet.storage.sealing import Keyring, key_id, keys_of
from pywhatsweb_fleet.storage.store import Store

_AT_ONCE: Final = 1000


class RotationError(Exception):
    """A sentence for the operator."""


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """``master_key``: the id of the one that seals now; ``sealed_anew``: data keys; ``dropped``: ids of keys."""

    master_key: str
    sealed_anew: int
    dropped: list[str]


async def rotate(store: Store, text: str, file: Path | None, *, new: bool, drop: bool) -> Rotated:
    """Everything sealed under the first key of ``text``, or of ``file``, where its keys lie.

    ``new`` puts a new key first before, ``drop`` takes those out that nothing needs after; both need a ``file``.
    Raises RotationError, MasterKeyError, KeyMissing, StorageUnavailable, OSError.
    """
    if file is None:
        if new or drop:
            raise RotationError("the keys are in no file: PWW_ENCRYPTION_KEY_FILE is not set.")
        return await _seal_anew(store, Keyring.parse(text))
    with alone(file):
        if new:
            _write(file, [random.token_bytes(32), *_read(file)])
        done = await _seal_anew(store, Keyring(_read(file), file))
        if not drop:
            return done
        needed = {done.master_key, *await store.read(data_keys.needed)}
        keys = _read(file)
        dropped = [key_id(key) for key in keys if key_id(key) not in needed]
        if dropped:
            _write(file, [key for key in keys if key_id(key) in needed])
        return msgspec.structs.replace(done, dropped=dropped)


async def _seal_anew(store: Store, keyring: Keyring) -> Rotated:
    await store.transact(data_keys.seal_under, keyring)
    total = 0
    while count := await store.transact(data_keys.rotate, keyring, _AT_ONCE):
        total += count
    return Rotated(master_key=keyring.first, sealed_anew=total, dropped=[])


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Two rotations of one file would lose each other's keys. Raises RotationError."""
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RotationError("another rotation of this file is running.") from None
    finally:
        os.close(handle)


def _read(file: Path) -> list[bytes]:
    return keys_of(file.read_text("utf-8"))


def _write(file: Path, keys: Sequence[bytes]) -> None:
    """One a line. Raises OSError, RotationError where its readers could not read it any more."""
    if file.stat().st_uid != os.geteuid():
        raise RotationError(f"{file} belongs to another user: run this as that one.")
    write_private(file, b"".join(key.hex().encode() + b"\n" for key in keys))
