"""Files that come in parts, over any number of replicas: each part is an object of its own until the file is whole.

A part may be sent again, in any order, to whichever replica answers; what was given up is swept after a day.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media import sealed
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import NoSuchObject, Objects
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.storage import media_uploads as table
from pywhatsweb_fleet.storage.media import Held, Reference
from pywhatsweb_fleet.storage.sealing import place
from pywhatsweb_fleet.storage.store import Store

PART: Final = 512 * 1024
_KEPT_MS: Final = 86_400_000
_MISSING_TOLD: Final = 100
_IS_ID: Final = re.compile(r"upl_[0-9a-f]{24}").fullmatch


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upload announced."""

    mime_type: str | None = None
    filename: str | None = None
    kind: str | None = None


class Uploads:
    """Raises MediaError, ObjectsUnavailable, StorageUnavailable."""

    def __init__(self, store: Store, objects: Objects, library: Library, settings: MediaSettings) -> None:
        self._store = store
        self._objects = objects
        self._library = library
        self._open_bytes = settings.media_open_uploads_bytes

    async def begin(self, tenant: str, size: int, asked: Asked) -> str:
        """An upload's id. Its size is what the tenant's quota counts until it is finished or swept."""
        if size == 0:
            raise MediaError(ErrorCode.E_MEDIA_EMPTY)
        most = self._library.limits.most(asked.kind)
        if size > most:
            raise MediaError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": most, "size": size})
        if await self._store.read(table.open_bytes, tenant) + size > self._open_bytes:
            raise MediaError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": self._open_bytes, "unit": "upload bytes"})
        upload_id = f"upl_{secrets.token_hex(12)}"
        text = msgspec.json.encode(asked).decode()
        await self._store.transact(table.begin, tenant, upload_id, size=size, asked=text, now=_now())
        return upload_id

    async def part(self, tenant: str, upload_id: str, offset: int, data: bytes) -> int:
        """Keeps the part at ``offset``, a multiple of 512 KiB; the announced size."""
        size, _ = await self._known(tenant, upload_id)
        if offset % PART or offset >= size or len(data) != min(PART, size - offset):
            raise MediaError(ErrorCode.E_INVALID_FIELD, {"path": "$.offset", "limit": PART})
        key = _key(tenant, upload_id, offset)

        async def whole() -> AsyncIterator[bytes]:
            yield data

        cipher = await self._library.cipher(tenant)
        await self._objects.write(key, sealed.seal(whole(), cipher, place("upload", key)))
        return size

    async def finish(self, tenant: str, upload_id: str, sha256: str | None = None) -> tuple[Held, Asked]:
        """Puts the parts together and keeps the file. Again, after it was finished: the same file.

        Raises MediaError: E_MEDIA_UPLOAD_INCOMPLETE names the offsets that are missing, E_MEDIA_CORRUPT if the bytes
        are not those of ``sha256``.
        """
        media_id = f"med_{upload_id.removeprefix('upl_')}"
        try:
            size, asked = await self._known(tenant, upload_id)
        except MediaError:
            return await self._library.find(tenant, media_id), Asked()
        reference = Reference(
            media_id=media_id, sha256="", origin="upload", mime_type=asked.mime_type or "", filename=asked.filename
        )  # fmt: skip
        pieces = self._joined(tenant, upload_id, size)
        most = self._library.limits.most(asked.kind)
        held, _ = await self._library.put(tenant, pieces, reference=reference, most=most, sha256=sha256)
        await self.abort(tenant, upload_id)
        return held, asked

    async def _joined(self, tenant: str, upload_id: str, size: int) -> AsyncIterator[bytes]:
        cipher = await self._library.cipher(tenant)
        missing: list[int] = []
        for offset in range(0, size, PART):
            key = _key(tenant, upload_id, offset)
            length = min(PART, size - offset)
            _, start, end, _ = sealed.span(0, length, length)
            try:
                header = await self._objects.head(key, sealed.HEADER)
                if missing:
                    continue  # the rest is only looked for
                opener = sealed.opened(header, cipher, place("upload", key))
                pieces = self._objects.read(key, start, end)
                async for part in sealed.open_span(
                    pieces, opener, first=0, skip=0, length=length, size=length
                ):
                    yield part
            except NoSuchObject:
                missing.append(offset)
            if len(missing) == _MISSING_TOLD:
                break
        if missing:
            raise MediaError(ErrorCode.E_MEDIA_UPLOAD_INCOMPLETE, {"missing": missing})

    async def abort(self, tenant: str, upload_id: str) -> None:
        """Gives an upload up, or lets go of one that was finished. Raises MediaError for what is no upload's id."""
        if not _IS_ID(upload_id):  # it becomes a part of a path
            raise MediaError(ErrorCode.E_MEDIA_NOT_FOUND)
        await self._objects.remove_all(_key(tenant, upload_id, None))
        await self._store.transact(table.end, tenant, upload_id)

    async def sweep(self, now_ms: int | None = None) -> int:
        """Gives up what was begun more than a day ago; how many."""
        before = (_now() if now_ms is None else now_ms) - _KEPT_MS
        count = 0
        while rows := await self._store.read(table.stale, before, 100):
            for tenant, upload_id in rows:
                await self.abort(tenant, upload_id)
            count += len(rows)
        return count

    async def _known(self, tenant: str, upload_id: str) -> tuple[int, Asked]:
        found = await self._store.read(table.find, tenant, upload_id)
        if found is None:
            raise MediaError(ErrorCode.E_MEDIA_NOT_FOUND)
        return found[0], msgspec.json.decode(found[1], type=Asked)


def _key(tenant: str, upload_id: str, offset: int | None) -> str:
    return f"{tenant}/uploads/{upload_id}/" + ("" if offset is None else f"{offset:012d}")


def _now() -> int:
    return time.time_ns() // 1_000_000
