"""Stored files: up in parts, down in parts, a few of them in memory whatever their size."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mimetypes
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, overload

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode, MediaError

_TIMEOUT_S: Final = 60.0
_FINISH_S: Final = 300.0
_IN_FLIGHT: Final = 4
"""Parts on their way at once: 2 MiB of memory."""


class MediaFiles(Part):
    """``media.*``. All of it raises RequestError with the fleet's code."""

    async def put(
        self,
        data: bytes | Path | BinaryIO,
        *,
        mime_type: str | None = None,
        filename: str | None = None,
        kind: m.MediaKind | None = None,
    ) -> d.MediaInfo:
        """Stores bytes, a file, or what a binary file object has from its position on; the `id` goes into commands.

        With `kind`, it is checked as what it is to be sent. A file is read in parts of 512 KiB. Raises MediaError for
        a file that cannot be read.
        """
        if isinstance(data, Path):
            name = filename or data.name
            guessed = mime_type or mimetypes.guess_type(data.name)[0]
            with _opened(data) as opened:
                return await self.put(opened, mime_type=guessed, filename=name, kind=kind)
        if not isinstance(data, bytes):
            return await self._put_parts(data, mime_type, filename, kind)
        if len(data) > PART_BYTES:
            return await self._send_parts(_Bytes(data), len(data), mime_type, filename, kind)
        if not data:
            raise MediaError(ErrorCode.E_MEDIA_EMPTY)
        args = d.MediaPut(data=data, mime_type=mime_type, filename=filename, kind=kind)
        return await self._ask("media.put", args, d.MediaInfo, _TIMEOUT_S)

    async def _put_parts(
        self, opened: BinaryIO, mime_type: str | None, filename: str | None, kind: m.MediaKind | None
    ) -> d.MediaInfo:
        begin = opened.tell()
        size = opened.seek(0, os.SEEK_END) - begin
        opened.seek(begin)
        if size <= PART_BYTES:
            return await self.put(opened.read(), mime_type=mime_type, filename=filename, kind=kind)
        return await self._send_parts(opened.read, size, mime_type, filename, kind)

    async def _send_parts(
        self,
        read: Callable[[int], bytes],
        size: int,
        mime_type: str | None,
        filename: str | None,
        kind: m.MediaKind | None,
    ) -> d.MediaInfo:
        args = m.MediaBegin(size=size, mime_type=mime_type, filename=filename, kind=kind)
        upload = await self._ask("media.begin", args, m.MediaUpload)
        digest = hashlib.sha256()
        room = asyncio.Semaphore(_IN_FLIGHT)
        try:
            async with asyncio.TaskGroup() as tasks:
                for offset in range(0, size, PART_BYTES):
                    await room.acquire()
                    part = await asyncio.to_thread(read, min(PART_BYTES, size - offset))
                    digest.update(part)
                    task = tasks.create_task(self.upload_part(upload.upload_id, offset, part))
                    task.add_done_callback(lambda _: room.release())
            return await self.finish(upload.upload_id, sha256=digest.hexdigest())
        except BaseException as error:
            with contextlib.suppress(Exception):
                await self.abort(upload.upload_id)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise

    async def begin(
        self,
        size: int,
        *,
        mime_type: str | None = None,
        filename: str | None = None,
        kind: m.MediaKind | None = None,
    ) -> m.MediaUpload:
        """Announces a file that comes in parts, for whoever wants to send them himself."""
        args = m.MediaBegin(size=size, mime_type=mime_type, filename=filename, kind=kind)
        return await self._ask("media.begin", args, m.MediaUpload)

    async def upload_part(self, upload_id: str, offset: int, data: bytes) -> None:
        """A part, again if need be; `offset` is a multiple of 512 KiB."""
        args = m.MediaUploadPart(upload_id=upload_id, offset=offset, data=data)
        await self._ask("media.part", args, m.MediaUpload, _TIMEOUT_S)

    async def finish(self, upload_id: str, *, sha256: str | None = None) -> d.MediaInfo:
        """Puts the parts together; again, the same file."""
        args = m.MediaFinish(upload_id=upload_id, sha256=sha256)
        return await self._ask("media.finish", args, d.MediaInfo, _FINISH_S)

    async def abort(self, upload_id: str) -> None:
        """Gives an upload up."""
        await self._ask("media.abort", m.MediaUploadRef(upload_id=upload_id), m.MediaUpload)

    @overload
    async def part(self, media_id: str, *, offset: int = 0, length: int = ...) -> d.MediaPart: ...
    @overload
    async def part(
        self, *, session_id: str, message_id: str, offset: int = 0, length: int = ...
    ) -> d.MediaPart: ...
    async def part(
        self,
        media_id: str | None = None,
        *,
        session_id: str | None = None,
        message_id: str | None = None,
        offset: int = 0,
        length: int = PART_BYTES,
    ) -> d.MediaPart:
        """Up to 512 KiB of a stored file, or of a message's."""
        args = d.MediaGet(
            id=media_id, session_id=session_id, message_id=message_id, offset=offset, length=length
        )
        return await self._ask("media.get", args, d.MediaPart, _TIMEOUT_S)

    async def get(self, media_id: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        """A stored file, part by part: ``async for part in fleet.media.get(id)``."""
        while True:
            found = await self.part(media_id, offset=offset)
            if found.data:
                yield found.data
            offset += len(found.data)
            if not found.data or offset >= found.size:
                return

    async def save(self, media_id: str, path: Path) -> d.MediaInfo:
        """Writes a stored file to `path`, which appears whole, checked against its hash, or not at all."""
        about = await self.show(media_id)
        digest = hashlib.sha256()
        beside = path.with_name(path.name + ".part")
        try:
            with beside.open("wb") as out:
                async for part in self.get(media_id):
                    digest.update(part)
                    await asyncio.to_thread(out.write, part)
            if digest.hexdigest() != about.sha256:
                raise MediaError(ErrorCode.E_MEDIA_CORRUPT)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return about

    async def show(
        self, media_id: str | None = None, *, session_id: str | None = None, message_id: str | None = None
    ) -> m.MediaEntry:
        """What is known of a file: by its id, or by the message that carries it."""
        args = m.MediaRef(id=media_id, session_id=session_id, message_id=message_id)
        return await self._ask("media.show", args, m.MediaEntry)

    async def list(
        self, *, to: str | None = None, chat: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> m.MediaEntries:
        """Stored files, newest first; of one chat, by `to` or `chat`."""
        args = m.MediaList(to=to, chat=chat, limit=limit, cursor=cursor)
        return await self._ask("media.list", args, m.MediaEntries)

    async def delete(self, media_id: str) -> m.MediaEntry:
        """Lets a file go; what else holds the same bytes keeps them."""
        return await self._ask("media.delete", m.MediaRef(id=media_id), m.MediaEntry)


class _Bytes:
    """Reads bytes in memory part by part."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def __call__(self, size: int) -> bytes:
        part, self._left = bytes(self._left[:size]), self._left[size:]
        return part


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        opened = path.open("rb")
    except OSError as error:
        raise MediaError(ErrorCode.E_MEDIA_SOURCE, {"reason": type(error).__name__}) from None
    with opened:
        yield opened
