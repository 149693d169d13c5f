"""A ZIP made piece by piece: what is written comes out at once, so its size costs no memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import msgspec

_json = msgspec.json.Encoder().encode


class _Spout(io.RawIOBase):
    """A file that can only be written to, and what was written since one last looked."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def taken(self) -> bytes:
        found = bytes(self._waiting)
        self._waiting.clear()
        return found


class Zip:
    """Files one after the other; each method gives the archive's next bytes."""

    def __init__(self) -> None:
        self._spout = _Spout()
        self._zip = zipfile.ZipFile(self._spout, "w", zipfile.ZIP_DEFLATED, compresslevel=6)

    async def rows(self, name: str, batches: AsyncIterable[Iterable[dict[str, Any]]]) -> AsyncIterator[bytes]:
        """A file that is a JSON array of objects."""
        first = True
        with self._zip.open(name, "w", force_zip64=True) as file:
            file.write(b"[")
            async for batch in batches:
                for row in batch:
                    file.write((b"\n" if first else b",\n") + _json(row))
                    first = False
                yield self._spout.taken()
            file.write(b"\n]\n")
        yield self._spout.taken()

    async def file(self, name: str, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """A file as it is; media does not shrink."""
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_STORED
        with self._zip.open(info, "w", force_zip64=True) as file:
            async for piece in pieces:
                file.write(piece)
                yield self._spout.taken()
        yield self._spout.taken()

    def document(self, name: str, value: Any) -> bytes:
        """A JSON document."""
        self._zip.writestr(name, msgspec.json.format(_json(value)))
        return self._spout.taken()

    def end(self) -> bytes:
        self._zip.close()
        return self._spout.taken()
