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
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pywhatsweb_fleet.storage.faults import Unsealable

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
    """The master keys by id: the first seals, all of them open (so that rotation needs no pause)."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise MasterKeyError("a master key has 32 bytes, and there is at least one")
        self._ciphers = {_key_id(key): Cipher(key) for key in keys}
        self.current = _key_id(keys[0])
        self._data_key = lru_cache(maxsize=_KEPT)(self._open_data_key)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Keys in hex or base64, separated by white space or commas, the current one first. Raises MasterKeyError."""
        return cls([_key_from(word) for word in text.replace(",", " ").split()])

    def new_data_key(self, tenant: str, scope: str) -> Wrapped:
        return Wrapped(
            self.current, self._ciphers[self.current].seal(os.urandom(32), place("key", tenant, scope))
        )

    def data_key(self, wrapped: Wrapped, tenant: str, scope: str) -> Cipher:
        """The cipher of a data key. Kept under its sealed bytes, so a key that was replaced is never used again.

        Raises Unsealable when its master key is not on the ring.
        """
        return self._data_key(wrapped, tenant, scope)

    def rewrap(self, wrapped: Wrapped, tenant: str, scope: str) -> Wrapped:
        """The same data key under the current master key."""
        where = place("key", tenant, scope)
        plain = self._master(wrapped.master_key).open(wrapped.blob, where)
        return Wrapped(self.current, self._ciphers[self.current].seal(plain, where))

    def _open_data_key(self, wrapped: Wrapped, tenant: str, scope: str) -> Cipher:
        return Cipher(self._master(wrapped.master_key).open(wrapped.blob, place("key", tenant, scope)))

    def _master(self, key_id: str) -> Cipher:
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise Unsealable(f"the master key {key_id} is not on the ring") from None


def _key_id(key: bytes) -> str:
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
