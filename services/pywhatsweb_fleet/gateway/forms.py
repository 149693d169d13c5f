"""The file of a multipart form (RFC 7578), of any size: on disk while it is taken in, so that its size is known."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import IO, Final, NamedTuple

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asgi import Receive
from pywhatsweb_fleet.gateway.problems import GatewayError

_FIELD: Final = "file"
_IN_MEMORY: Final = 1024 * 1024
_MAX_FIELDS: Final = 16


class File(NamedTuple):
    size: int
    mime_type: str | None
    filename: str | None
    held: IO[bytes]

    async def parts(self) -> AsyncIterator[bytes]:
        """`PART_BYTES` each, the last as it is."""
        self.held.seek(0)
        while part := await asyncio.to_thread(self.held.read, PART_BYTES):
            yield part


@contextlib.asynccontextmanager
async def file_of(headers: Mapping[str, str], receive: Receive) -> AsyncIterator[File]:
    """The form's field ``file``. Raises GatewayError for a body that is no such form."""
    kind, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": "multipart/form-data is expected"})
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as held:
        try:
            found = await _read(boundary, receive, held)
        except MultipartError as error:
            raise GatewayError(ErrorCode.E_MALFORMED_BODY, {"reason": type(error).__name__}) from None
        if found is None:
            raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": _FIELD})
        declared = found.content_type
        yield File(held.tell(), declared or None, found.filename or None, held)


async def _read(boundary: str, receive: Receive, held: IO[bytes]) -> MultipartSegment | None:
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
