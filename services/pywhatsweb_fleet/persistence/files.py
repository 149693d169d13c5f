"""``media.*``: files put, whole or in parts, read, shown, listed and let go. Every replica answers for all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import ids
from pywhatsweb.contracts import media_data as m
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.errors import ErrorCode, MediaError, RequestError
from pywhatsweb_fleet.media import kinds
from pywhatsweb_fleet.media.fitting import Fitting
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.media.uploads import Asked as Announced
from pywhatsweb_fleet.media.uploads import Uploads
from pywhatsweb_fleet.persistence.asking import Asker, chat_keys, from_cursor, to_cursor
from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.media import Held, Reference
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Answer, Asked
from pywhatsweb_runtime.metrics import Metrics

log = structlog.get_logger(__name__)

MAX_REQUEST_BYTES: Final = 1024 * 1024
"""A part of 512 KiB, in base64 where the request is JSON."""
REFUSALS: Final[Mapping[type[Exception], ErrorCode]] = {
    StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE,
    ObjectsUnavailable: ErrorCode.E_MEDIA_STORE_UNAVAILABLE,
    Unsealable: ErrorCode.E_CREDENTIALS_UNREADABLE,
}


class Files:
    """Over one library."""

    def __init__(
        self, store: Store, library: Library, uploads: Uploads, fitting: Fitting, metrics: Metrics
    ) -> None:
        self._store = store
        self._library = library
        self._uploads = uploads
        self._fitting = fitting
        self._metrics = metrics

    def answers(self) -> dict[str, Answer]:
        return {
            "media.put": self.put,
            "media.get": self.get,
            "media.begin": self.begin,
            "media.part": self.part,
            "media.finish": self.finish,
            "media.abort": self.abort,
            "media.show": self.show,
            "media.list": self.list,
            "media.delete": self.delete,
        }

    async def put(self, asked: Asked) -> d.MediaInfo:
        args: d.MediaPut = asked.args
        await self._bound(asked, len(args.data))
        reference = Reference(
            media_id=f"med_{ids.new_event_id().removeprefix('evt_')}",
            sha256="",
            origin="upload",
            mime_type=args.mime_type or "",
            filename=args.filename,
        )

        async def whole() -> AsyncIterator[bytes]:
            yield args.data

        with self._timed():
            most = self._library.limits.most(args.kind)
            held, _ = await self._library.put(asked.tenant, whole(), reference=reference, most=most)
            return await self._checked(asked.tenant, held, args.kind)

    async def _bound(self, asked: Asked, more: int) -> None:
        """Refuses an upload beyond the tenant's quota; what WhatsApp brings is never refused for it."""
        limit = asked.record.media_bytes
        if limit and await self._store.read(usage.media_bytes, asked.tenant) + more > limit:
            raise RequestError(ErrorCode.E_QUOTA_EXCEEDED, {"quota": "media_bytes", "limit": limit})

    async def begin(self, asked: Asked) -> m.MediaUpload:
        args: m.MediaBegin = asked.args
        await self._bound(asked, args.size)
        announced = Announced(args.mime_type, args.filename, args.kind)
        return m.MediaUpload(upload_id=await self._uploads.begin(asked.tenant, args.size, announced))

    async def part(self, asked: Asked) -> m.MediaUpload:
        args: m.MediaUploadPart = asked.args
        with self._told():
            await self._uploads.part(asked.tenant, args.upload_id, args.offset, args.data)
        return m.MediaUpload(upload_id=args.upload_id)

    async def finish(self, asked: Asked) -> d.MediaInfo:
        args: m.MediaFinish = asked.args
        with self._timed():
            held, announced = await self._uploads.finish(asked.tenant, args.upload_id, args.sha256)
            return await self._checked(asked.tenant, held, announced.kind)

    async def abort(self, asked: Asked) -> m.MediaUpload:
        args: m.MediaUploadRef = asked.args
        await self._uploads.abort(asked.tenant, args.upload_id)
        return m.MediaUpload(upload_id=args.upload_id)

    async def _checked(self, tenant: str, held: Held, kind: str | None) -> d.MediaInfo:
        """Lets a file go again that the kind, or an image decoder, does not take."""
        try:
            await self._fitting.check(tenant, held, kind)
        except MediaError:
            await self._library.forget(tenant, media_ids=[held.reference.media_id])
            raise
        return info(held)

    async def get(self, asked: Asked) -> d.MediaPart:
        args: d.MediaGet = asked.args
        held = await self._find(asked.tenant, args)
        if args.offset > held.object.size:
            raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.offset", "limit": held.object.size})
        data = await self._library.content(asked.tenant, held.object, args.offset, args.length)
        return d.MediaPart(**_fields(held), offset=args.offset, data=data)

    async def show(self, asked: Asked) -> m.MediaEntry:
        return entry(await self._find(asked.tenant, asked.args))

    async def list(self, asked: Asked) -> m.MediaEntries:
        args: m.MediaList = asked.args
        after = from_cursor(args.cursor, tuple[int, str])
        found = await self._library.page(
            asked.tenant, chats=await self._chats(asked, args), after=after, limit=args.limit
        )
        last = found[-1].reference if len(found) == args.limit else None
        return m.MediaEntries(
            media=[entry(held) for held in found],
            cursor=to_cursor((last.created_at, last.media_id)) if last else None,
        )

    async def _chats(self, asked: Asked, args: m.MediaList) -> Sequence[str]:
        if args.chat is not None or args.to is None:
            return [args.chat] if args.chat is not None else []
        who = Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region)
        return await self._store.read(chat_keys, who, args.to)

    async def delete(self, asked: Asked) -> m.MediaEntry:
        """What else holds the same bytes keeps them."""
        held = await self._find(asked.tenant, asked.args)
        await self._library.forget(asked.tenant, media_ids=[held.reference.media_id])
        return entry(held)

    async def _find(self, tenant: str, args: d.MediaGet | m.MediaRef) -> Held:
        if args.id is not None:
            return await self._library.find(tenant, args.id)
        return await self._library.of_message(tenant, args.session_id or "", args.message_id or "")

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        with self._told():
            yield
        self._metrics.media_upload.labels("fleet").observe(time.monotonic() - began)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (MediaError, ObjectsUnavailable) as error:
            code = error.code.wire if isinstance(error, MediaError) else error.code
            self._metrics.media_failures.labels("put", code).inc()
            raise


def info(held: Held) -> d.MediaInfo:
    return d.MediaInfo(**_fields(held))


def entry(held: Held) -> m.MediaEntry:
    reference = held.reference
    return m.MediaEntry(
        **_fields(held),
        origin=reference.origin,
        created_at=timestamp(reference.created_at),
        expires_at=timestamp(reference.expires_at) if reference.expires_at else None,
        session_id=reference.session,
        chat=reference.chat,
        message_id=reference.message_id,
    )


def _fields(held: Held) -> dict[str, Any]:
    return {
        "id": held.reference.media_id,
        "mime_type": held.reference.mime_type or kinds.UNKNOWN,
        "size": held.object.size,
        "sha256": held.object.sha256,
        "filename": held.reference.filename,
    }
