"""Envelope encryption: rows sealed by data keys, data keys sealed by a master key from outside the database.

AES-256-GCM with a random 96-bit nonce. NIST SP 800-38D allows 2**32 of those under one key, so every session has a
data key of its own. The associated data names the place of a row: a sealed value moved elsewhere does not open.

Sealed: one byte of version, the nonce, the ciphertext with its 16-byte tag.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pywhatsweb_fleet.storage.faults import KeyMissing, Unsealable

log = structlog.get_logger(__name__)

_VERSION = b"\x01"
_NONCE = 12
_KEPT = 20_000
"""Data keys kept open in memory, about 300 bytes each."""


class MasterKeyError(ValueError):
    """The text is not a list of 32-byte keys; the message does not quote it."""


class Cipher:
    """Seals and opens under one key; safe to share between threads."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, value: bytes, place: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._aead.encrypt(nonce, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Raises Unsealable."""
        if sealed[:1] != _VERSION:
            raise Unsealable("sealed by an unknown version")
        try:
            return self._aead.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], place)
        except (InvalidTag, ValueError):
            raise Unsealable(
                "the seal does not fit: another key, or a row that was changed or moved"
            ) from None


def place(*parts: str) -> bytes:
    """The associated data of a row; lengths are part of it, so no two places read the same."""
    return b"".join(b"%d:%s" % (len(part), part) for part in map(str.encode, parts))


class Wrapped(NamedTuple):
    """A data key as the database holds it."""

    master_key: str
    blob: bytes


class Keyring:
    """The master keys by id: all of them open, the one that the fleet agreed on seals (`data_keys.sealing`).

    With a ``file`` the ring grows while the process runs: a key that it does not know makes it read the file again,
    so keys rotate without a restart. What it once held it keeps until the process ends: a transaction that began
    before a key was dropped may still need it. Safe to share between threads.
    """

    def __init__(self, keys: Sequence[bytes], file: Path | None = None) -> None:
        self._file = file
        self._ciphers: dict[str, Cipher] = {}
        self._take(keys)
        self._data_key = lru_cache(maxsize=_KEPT)(self._open_data_key)

    @classmethod
    def parse(cls, text: str, file: str | Path | None = None) -> Keyring:
        """Keys as `keys_of` reads them; ``file``: where they come from, if from a file. Raises MasterKeyError."""
        return cls(keys_of(text), Path(file) if file else None)

    def knows(self, key_id: str) -> str:
        """The id, when its key is on the ring. Raises KeyMissing."""
        self._master(key_id)
        return key_id

    def ids(self) -> list[str]:
        """Of every key that opens here, the first of the file leading; the file as it is now."""
        self._read_again()
        return [self.first, *sorted(self._ciphers.keys() - {self.first})]

    def new_data_key(self, master_key: str, tenant: str, scope: str) -> Wrapped:
        """Sealed by the master key of that id. Raises KeyMissing."""
        sealed = self._master(master_key).seal(os.urandom(32), place("key", tenant, scope))
        return Wrapped(master_key, sealed)

    def data_key(self, wrapped: Wrapped, tenant: str, scope: str) -> Cipher:
        """The cipher of a data key. Kept under its sealed bytes, so a key that was replaced is never used again.

        Raises KeyMissing when its master key is not on the ring, Unsealable when it does not open.
        """
        return self._data_key(wrapped, tenant, scope)

    def rewrap(self, wrapped: Wrapped, master_key: str, tenant: str, scope: str) -> Wrapped:
        """The same data key under another master key. Raises as `data_key` does."""
        where = place("key", tenant, scope)
        plain = self._master(wrapped.master_key).open(wrapped.blob, where)
        return Wrapped(master_key, self._master(master_key).seal(plain, where))

    def _open_data_key(self, wrapped: Wrapped, tenant: str, scope: str) -> Cipher:
        return Cipher(self._master(wrapped.master_key).open(wrapped.blob, place("key", tenant, scope)))

    def _master(self, key_id: str) -> Cipher:
        if key_id not in self._ciphers:
            self._read_again()
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise KeyMissing(f"the master key {key_id} is not on the ring") from None

    def _read_again(self) -> None:
        """What is on its way into the file is met the next time: until then the ring is as it was."""
        if self._file is None:
            return
        try:
            self._take(keys_of(self._file.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, MasterKeyError) as error:
            log.warning("the master keys' file cannot be read again", error=type(error).__name__)

    def _take(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise MasterKeyError("a master key has 32 bytes, and there is at least one")
        read = {key_id(key): Cipher(key) for key in keys}
        self._ciphers = {**self._ciphers, **read}  # at once: other threads read it
        self.first = next(iter(read))


def keys_of(text: str) -> list[bytes]:
    """Keys in hex or base64, separated by white space or commas. Raises MasterKeyError."""
    return [_key_from(word) for word in text.replace(",", " ").split()]


def key_id(key: bytes) -> str:
    """8 hex digits that tell master keys apart and nothing about them."""
    return hashlib.sha256(b"pywhatsweb master key" + key).hexdigest()[:8]


def _key_from(word: str) -> bytes:
    if len(word) == 64:
        try:
            return bytes.fromhex(word)
        except ValueError:
            pass
    try:
        return base64.b64decode(
            word.replace("-", "+").replace("_", "/") + "=" * (-len(word) % 4), validate=True
        )
    except binascii.Error:
        raise MasterKeyError("a master key is neither hex nor base64") from None
