"""The file of a command, ready for the engine: found, fetched or taken in, made fit, and handed over in parts.

Whatever it comes from, it becomes a stored file that the message holds under an id that follows from the message's: a
second try, also another worker's, finds it there and neither fetches nor stores it again.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.errors import MediaError
from pywhatsweb_fleet.media.fitting import VOICE_TYPE, Fitted
from pywhatsweb_fleet.media.kinds import Kind, bare
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.links import Links
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.media.opening import Shelf
from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.lane import Interrupted
from pywhatsweb_fleet.storage.faults import KeyMissing, StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.media import Held, Object, Reference

log = structlog.get_logger(__name__)

KINDS: Final = frozenset(("image", "video", "audio", "voice", "document", "sticker"))
OURS: Final = ("id", "link", "data", "compress")
"""Fields of a content that speak to the fleet: neither an engine nor an event gets them."""
SLOWEST: Final = 128 * 1024
"""Bytes a second: a file may take so long on its way to WhatsApp before its send counts as lost."""


class Attached(NamedTuple):
    """``fields`` replace the content's own; ``media`` is what the message event tells."""

    fields: Mapping[str, Any]
    source: LibrarySource
    media: d.MediaFile


class LibrarySource:
    """A `FileSource`: read on from where the last part ended, it opens the object once."""

    def __init__(self, library: Library, tenant: str, found: Object) -> None:
        self.size = found.size
        self._library = library
        self._tenant = tenant
        self._object = found
        self._pieces: AsyncIterator[bytes] | None = None
        self._at = 0
        self._left = b""

    async def read(self, offset: int, length: int) -> bytes:
        """As the port says."""
        try:
            if self._pieces is None or offset != self._at:
                self._pieces = self._library.read(self._tenant, self._object, offset)
                self._at, self._left = offset, b""
            parts, have = [self._left], len(self._left)
            while have < length and (piece := await anext(self._pieces, b"")):
                parts.append(piece)
                have += len(piece)
        except MediaError as error:
            raise EngineError(error.code.wire) from None
        except (ObjectsUnavailable, StorageUnavailable, Unsealable) as error:
            raise EngineError(error.code) from None
        whole = b"".join(parts)
        part, self._left = whole[:length], whole[length:]
        self._at += len(part)
        return part


class Attaching:
    """Of one session. Without a ``shelf`` only what a command carries itself can be sent."""

    def __init__(self, events: FencedEvents, shelf: Shelf | None, links: Links | None) -> None:
        self._events = events
        self._shelf = shelf
        self._links = links

    async def prepare(self, queued: Queued, body: Mapping[str, Any]) -> Attached | None:
        """None for what has no file, or carries it past us.

        Raises EngineError with the file's fault, and Interrupted while a store is away: then the command waits.
        """
        kind = str(body.get("type"))
        if queued.verb not in ("send", "forward") or kind not in KINDS:
            return None
        content: Mapping[str, Any] = body[kind]
        if self._shelf is None:
            if content.get("data") is not None:
                return None
            raise EngineError("E_MEDIA_STORE_UNAVAILABLE", "this worker has no place for files")
        try:
            held = await self._held(self._shelf.library, queued, content, cast("Kind", kind))
            fitted = await self._shelf.fitting.fit(
                self._events.tenant, held, cast("Kind", kind), compress=bool(content.get("compress"))
            )
        except MediaError as error:
            raise EngineError(error.code.wire, _detail(error)) from None
        except (ObjectsUnavailable, StorageUnavailable, KeyMissing) as error:
            log.warning(
                "a file waits for a store, or for a master key",
                session=self._events.session,
                error=error.code,
            )
            raise Interrupted(error.code) from error
        except Unsealable as error:
            raise EngineError(error.code) from None
        return self._attached(self._shelf.library, kind, content, fitted)

    def _attached(self, library: Library, kind: str, content: Mapping[str, Any], fitted: Fitted) -> Attached:
        held = fitted.held
        mime_type = VOICE_TYPE if kind == "voice" else held.reference.mime_type
        about = {
            "mime_type": mime_type if kind in ("voice", "document") else bare(mime_type),
            "width": fitted.width,
            "height": fitted.height,
            "seconds": None if fitted.seconds is None else round(fitted.seconds),
            "thumbnail": fitted.thumbnail if kind == "image" else None,
            "waveform": fitted.waveform,
        }
        if kind == "document":
            about["filename"] = content.get("filename") or held.reference.filename
        fields = {name: value for name, value in content.items() if name not in OURS}
        fields |= {name: value for name, value in about.items() if value is not None}
        return Attached(fields, LibrarySource(library, self._events.tenant, held.object), file_of(held))

    async def known(self, queued: Queued) -> d.MediaFile | None:
        """The file of a message that an earlier owner sent, if it is there."""
        if self._shelf is None:
            return None
        try:
            return file_of(await self._shelf.library.find(self._events.tenant, self._id(queued)))
        except (MediaError, StorageUnavailable):
            return None

    def _id(self, queued: Queued) -> str:
        return f"med_{self._events.stable_id('media', queued.message_id)[:24]}"

    async def _held(self, library: Library, queued: Queued, content: Mapping[str, Any], kind: Kind) -> Held:
        tenant, media_id = self._events.tenant, self._id(queued)
        try:
            return await library.find(tenant, media_id)
        except MediaError:
            pass  # the first try
        reference = Reference(
            media_id=media_id,
            sha256="",
            origin="message",
            mime_type=str(content.get("mime_type") or ""),
            filename=content.get("filename"),
            session=self._events.session,
            chat=queued.chat,
            message_id=queued.message_id,
        )
        if content.get("id") is not None:
            shared = await library.share(tenant, await library.find(tenant, content["id"]), reference)
            return shared or await library.find(tenant, content["id"])
        most = library.limits.document if content.get("compress") else library.limits.most(kind)
        if content.get("link") is not None:
            return await self._fetched(library, content["link"], reference, most)

        async def whole() -> AsyncIterator[bytes]:
            yield inline(content["data"])

        held, _ = await library.put(tenant, whole(), reference=reference, most=most)
        return held

    async def _fetched(self, library: Library, link: str, reference: Reference, most: int) -> Held:
        if self._links is None:
            raise EngineError("E_MEDIA_LINK_REFUSED", "links are not fetched here")
        async with self._links.get(link, most) as answered:
            named = msgspec.structs.replace(reference, filename=reference.filename or answered.filename)
            held, _ = await library.put(self._events.tenant, answered.pieces(), reference=named, most=most)
        return held


def inline(data: bytes | str) -> bytes:
    """What a command carries itself: bytes, or their base64 where it came as JSON."""
    return base64.b64decode(data) if isinstance(data, str) else bytes(data)


def file_of(held: Held) -> d.MediaFile:
    return d.MediaFile(
        id=held.reference.media_id,
        mime_type=held.reference.mime_type,
        size=held.object.size,
        sha256=held.object.sha256,
        filename=held.reference.filename,
    )


def _detail(error: MediaError) -> str:
    """What the catalogue's sentence leaves open: limits, types, reasons; never a value of the user's."""
    return ", ".join(f"{name}: {value}" for name, value in error.details.items())
