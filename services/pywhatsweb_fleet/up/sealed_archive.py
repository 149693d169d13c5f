"""The file of a backup: a tar, compressed, sealed in chunks under a key of its own.

    4 bytes ``PWWB`` | 1 byte version | 8 hex digits: which key | 61 bytes: the archive's key, sealed by that one
    then chunks of 64 KiB, each with its 16-byte tag, as stored files have them (`media.sealed`)

A chunk's nonce is its number and whether it is the last one, so nothing can be changed, moved or cut off unseen. What
is read is sound up to where one has read; only the end tells that nothing is missing: `verify` reads to it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb_fleet.media.sealed import CHUNK, TAG, ObjectKey
from pywhatsweb_fleet.storage.faults import Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher

_MAGIC: Final = b"PWWB\x01"
_ID: Final = 8
_KEY: Final = 32 + 29
_PLACE: Final = b"backup"


def key_id(key: bytes) -> str:
    """8 hex digits that tell keys apart and nothing about them."""
    return hashlib.sha256(b"pywhatsweb backup key" + key).hexdigest()[:_ID]


def damaged(reason: str) -> StorageError:
    return StorageError(ErrorCode.E_BACKUP_DAMAGED, {"reason": reason})


class _Sealing(io.RawIOBase):
    """Takes plain bytes; what it writes is sealed. The end has to be told by `finish`."""

    def __init__(self, file: IO[bytes], key: bytes) -> None:
        super().__init__()
        own = os.urandom(32)
        self._file = file
        self._key = ObjectKey(own)
        self._number = 0
        self._waiting = bytearray()
        file.write(_MAGIC + key_id(key).encode() + Cipher(key).seal(own, _PLACE))

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        # One chunk stays behind: it may be the last.
        while len(self._waiting) > CHUNK:
            self._file.write(self._key.seal(self._number, bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]
            self._number += 1
        return len(data)

    def finish(self) -> None:
        self._file.write(self._key.seal(self._number, bytes(self._waiting), last=True))


class _Opening(io.RawIOBase):
    """Gives plain bytes. Raises StorageError: E_BACKUP_KEY, E_BACKUP_DAMAGED."""

    def __init__(self, file: IO[bytes], key: bytes) -> None:
        super().__init__()
        header = file.read(len(_MAGIC) + _ID + _KEY)
        if header[: len(_MAGIC)] != _MAGIC or len(header) != len(_MAGIC) + _ID + _KEY:
            raise damaged("it does not begin as a backup does")
        if header[len(_MAGIC) :][:_ID] != key_id(key).encode():
            raise StorageError(
                ErrorCode.E_BACKUP_KEY, {"made_with": header[len(_MAGIC) :][:_ID].decode("latin-1")}
            )
        try:
            self._key = ObjectKey(Cipher(key).open(header[-_KEY:], _PLACE))
        except Unsealable:
            raise damaged("its header was changed") from None
        self._file = file
        self._number = 0
        self._next = file.read(CHUNK + TAG)
        self._plain = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain and not self._ended:
            sealed, self._next = self._next, self._file.read(CHUNK + TAG)
            self._ended = not self._next
            try:
                self._plain = self._key.open(self._number, sealed, last=self._ended)
            except Unsealable:
                raise damaged("it was changed or cut off") from None
            self._number += 1
        part = self._plain[: len(buffer)]
        buffer[: len(part)] = part
        self._plain = self._plain[len(part) :]
        return len(part)


class Writer:
    """Made by `writing`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_bytes(self, name: str, content: bytes) -> None:
        self.add_stream(name, io.BytesIO(content), len(content))

    def add_stream(self, name: str, content: IO[bytes], size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._tar.addfile(info, content)

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self.add_stream(name, file, os.fstat(file.fileno()).st_size)


@contextmanager
def writing(path: Path, key: bytes) -> Iterator[Writer]:
    """A backup that is at ``path`` when the block ends, and nothing of it when the block raises."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            sealing = _Sealing(file, key)
            with (
                gzip.GzipFile(
                    fileobj=cast("IO[bytes]", sealing), mode="wb", compresslevel=1, mtime=0
                ) as packed,
                tarfile.open(fileobj=packed, mode="w|") as tar,
            ):
                yield Writer(tar)
            sealing.finish()
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


Member = tuple[str, IO[bytes]]


@contextmanager
def reading(path: Path, key: bytes) -> Iterator[Iterator[Member]]:
    """The files of a backup, in their order: names, and what to read each from before the next.

    Raises StorageError (E_BACKUP_KEY, E_BACKUP_DAMAGED) and OSError.
    """
    with path.open("rb") as file:
        opening = io.BufferedReader(_Opening(file, key), CHUNK)
        try:
            with (
                gzip.GzipFile(fileobj=opening, mode="rb") as packed,
                tarfile.open(fileobj=packed, mode="r|") as tar,
            ):
                yield _members(tar)
                while packed.read(CHUNK):  # to the end: only there it shows that nothing is missing
                    pass
            while opening.read(CHUNK):
                pass
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValueError) as error:
            raise damaged(type(error).__name__) from None


def _members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        content = tar.extractfile(info) if info.isreg() else None
        parts = Path(info.name).parts
        if content is None or ".." in parts or Path(info.name).is_absolute():
            raise damaged("it holds what no backup does")
        yield info.name, content


def verify(path: Path, key: bytes) -> list[str]:
    """Reads all of it; the names of its files. Raises as `reading` does."""
    names = []
    with reading(path, key) as members:
        for name, content in members:
            names.append(name)
            while content.read(CHUNK):
                pass
    return names
