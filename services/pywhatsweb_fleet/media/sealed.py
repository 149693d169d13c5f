"""How a file lies in the object store: AES-256-GCM in chunks, so that any part opens without the rest.

    4 bytes ``PWWM`` | 1 byte version | 61 bytes: the object's own key, sealed by the tenant's media key
    then chunks of 64 KiB plain text, each with its 16-byte tag; the last may be shorter, and is empty for no bytes

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): a chunk's nonce is its number and whether it is
the last, so none can be moved, repeated or cut off unseen. A key seals one object only, so nonces never repeat.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pywhatsweb_fleet.storage.faults import Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher

CHUNK: Final = 64 * 1024
TAG: Final = 16
_MAGIC: Final = b"PWWM\x01"
_KEY: Final = 32 + 29
HEADER: Final = len(_MAGIC) + _KEY


class ObjectKey:
    """Opens the chunks of one object."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, number: int, chunk: bytes, *, last: bool) -> bytes:
        return self._aead.encrypt(_nonce(number, last), chunk, None)

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """Raises Unsealable."""
        try:
            return self._aead.decrypt(_nonce(number, last), sealed, None)
        except (InvalidTag, ValueError):
            raise Unsealable("a chunk of a stored file does not open") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def begin(cipher: Cipher, place: bytes) -> tuple[bytes, ObjectKey]:
    """A new object's header and key; ``place`` names where it will lie."""
    key = os.urandom(32)
    return _MAGIC + cipher.seal(key, place), ObjectKey(key)


def opened(header: bytes, cipher: Cipher, place: bytes) -> ObjectKey:
    """Raises Unsealable."""
    if header[: len(_MAGIC)] != _MAGIC:
        raise Unsealable("a stored file begins with something else than a header")
    return ObjectKey(cipher.open(header[len(_MAGIC) : HEADER], place))


async def seal(chunks: AsyncIterable[bytes], cipher: Cipher, place: bytes) -> AsyncIterator[bytes]:
    """Header and sealed chunks of a file that arrives in pieces of any size; holds one chunk at most beside a piece."""
    header, key = begin(cipher, place)
    yield header
    number = 0
    waiting = bytearray()
    async for piece in chunks:
        waiting += piece
        # One chunk stays behind: it may be the last.
        while len(waiting) > CHUNK:
            yield key.seal(number, bytes(waiting[:CHUNK]), last=False)
            del waiting[:CHUNK]
            number += 1
    yield key.seal(number, bytes(waiting), last=True)


def span(offset: int, length: int, size: int) -> tuple[int, int, int, int]:
    """Where ``length`` plain bytes from ``offset`` lie in the object of a file of ``size`` bytes.

    First chunk, first byte, end byte (exclusive), and how many plain bytes to skip in the first chunk.
    """
    first = offset // CHUNK
    last = max(offset + length - 1, 0) // CHUNK
    sealed = CHUNK + TAG
    begin_at = HEADER + first * sealed
    end_at = min(HEADER + (last + 1) * sealed, HEADER + size + TAG * chunks_of(size))
    return first, begin_at, end_at, offset - first * CHUNK


def chunks_of(size: int) -> int:
    return max(1, -(-size // CHUNK))


async def open_span(
    pieces: AsyncIterable[bytes], key: ObjectKey, *, first: int, skip: int, length: int, size: int
) -> AsyncIterator[bytes]:
    """The plain bytes of the chunks from number ``first``. Raises Unsealable, also when the object ends too early."""
    number, left = first, length
    final = chunks_of(size) - 1
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        while left > 0 and len(waiting) >= _sealed_size(number, final, size):
            take = _sealed_size(number, final, size)
            plain = key.open(number, bytes(waiting[:take]), last=number == final)
            del waiting[:take]
            part = plain[skip : skip + left]
            skip = 0
            left -= len(part)
            number += 1
            if part:
                yield part
    if left > 0:
        raise Unsealable("a stored file is shorter than it was")


def _sealed_size(number: int, final: int, size: int) -> int:
    return (size - final * CHUNK if number == final else CHUNK) + TAG
