"""The file of a multipart form (RFC 7578), of any size: on disk while it is taken in, so that its size is known.

What lies there is sealed, and can be read by nobody once this process is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asgi import Receive
from pywhatsweb_fleet.gateway.problems import GatewayError

_FIELD: Final = "file"
_IN_MEMORY: Final = 1024 * 1024
_MAX_FIELDS: Final = 16


_TAG: Final = 16


class Held:
    """Bytes kept aside: few in memory, more in a file without a name, in parts sealed by a key that lies nowhere."""

    def __init__(self) -> None:
        self.size = 0
        self._aead = AESGCM(AESGCM.generate_key(256))
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._sealed = 0
        self._rest = bytearray()

    def write(self, data: bytes | bytearray) -> None:
        """Raises OSError, for example when the disk is full."""
        self.size += len(data)
        self._rest += data
        while len(self._rest) >= PART_BYTES:
            part = bytes(self._rest[:PART_BYTES])
            self._file.write(self._aead.encrypt(self._nonce(self._sealed), part, None))
            self._sealed += 1
            del self._rest[:PART_BYTES]

    def part(self, number: int) -> bytes:
        """`PART_BYTES`, the last as it is; empty beyond it."""
        if number >= self._sealed:
            return bytes(self._rest) if number == self._sealed else b""
        self._file.seek(number * (PART_BYTES + _TAG))
        return self._aead.decrypt(self._nonce(number), self._file.read(PART_BYTES + _TAG), None)

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _nonce(number: int) -> bytes:
        """The key seals these parts only, each once."""
        return number.to_bytes(12, "big")


class File(NamedTuple):
    size: int
    mime_type: str | None
    filename: str | None
    held: Held

    async def parts(self) -> AsyncIterator[bytes]:
        """`PART_BYTES` each, the last as it is."""
        number = 0
        while part := await asyncio.to_thread(self.held.part, number):
            yield part
            number += 1


@contextlib.asynccontextmanager
async def file_of(headers: Mapping[str, str], receive: Receive) -> AsyncIterator[File]:
    """The form's field ``file``. Raises GatewayError for a body that is no such form."""
    kind, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": "multipart/form-data is expected"})
    with contextlib.closing(Held()) as held:
        try:
            found = await _read(boundary, receive, held)
        except MultipartError as error:
            raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": type(error).__name__}) from None
        except OSError as error:
            raise GatewayError(ErrorCode.E_MEDIA_STORE_UNAVAILABLE, {"reason": str(error)}) from None
        if found is None:
            raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": _FIELD})
        declared = found.content_type
        yield File(held.size, declared or None, found.filename or None, held)


async def _read(boundary: str, receive: Receive, held: Held) -> MultipartSegment | None:
    """Writes the file to ``held``; what its segment's headers say of it."""
    found = current = None
    more = True
    with PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS) as parser:
        while more and not parser.closed:
            message = await receive()
            if message["type"] != "http.request":
                raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": "the body ended too early"})
            more = message.get("more_body", False)
            for event in parser.parse(message.get("body", b"")) if message.get("body") else ():
                if isinstance(event, MultipartSegment):
                    current = event
                    if found is None and event.name == _FIELD:
                        found = event
                elif event is not None and current is found is not None:
                    await asyncio.to_thread(held.write, event)
    return found
