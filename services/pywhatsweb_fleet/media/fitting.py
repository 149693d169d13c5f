"""A stored file made ready for one kind of message: checked against what WhatsApp takes, converted where that is asked.

What had to be converted becomes a stored file of its own, held like the original.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import IO, Final

import msgspec

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media import kinds
from pywhatsweb_fleet.media.images import Images
from pywhatsweb_fleet.media.kinds import Kind, bare
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.sounds import Sounds
from pywhatsweb_fleet.media.walking import Mp4, Ogg, Walker
from pywhatsweb_fleet.storage.media import Held

_PIECE: Final = 64 * 1024
_DECODED: Final = frozenset(("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff"))
_WALKERS: Final[dict[str, type[Mp4] | type[Ogg]]] = {
    "video/mp4": Mp4,
    "video/3gpp": Mp4,
    "audio/mp4": Mp4,
    "audio/ogg": Ogg,
}
VOICE_TYPE: Final = "audio/ogg; codecs=opus"


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is to be sent; what is None is not known or means nothing here."""

    held: Held
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    thumbnail: bytes | None = None
    """JPEG, at most 72 by 72 pixels."""
    waveform: bytes | None = None
    """64 bars of 0 to 100."""


class Fitting:
    """Over one library; `close` ends its processes."""

    def __init__(self, library: Library, images: Images, sounds: Sounds) -> None:
        self._library = library
        self._images = images
        self._sounds = sounds

    async def close(self) -> None:
        await self._images.close()

    async def check(self, tenant: str, held: Held, kind: str | None) -> None:
        """What is wrong with a file that was just stored, for ``kind`` or (None) as such. Raises MediaError."""
        limits = self._library.limits
        named: Kind | None = kind  # type: ignore[assignment]  # the contract's own
        mime_type = held.reference.mime_type
        if named is not None and not kinds.convertible(named, mime_type):
            kinds.check(named, mime_type, held.object.size, limits)
        if named != "document" and bare(mime_type) in _DECODED and held.object.size <= limits.image:
            await self._images.look(await self._library.content(tenant, held.object), pixels=limits.pixels)

    async def fit(self, tenant: str, held: Held, kind: Kind, *, compress: bool = False) -> Fitted:
        """Ready to be sent as ``kind``; ``compress`` makes an image smaller. Raises MediaError, ObjectsUnavailable."""
        if kind == "image" and (compress or kinds.convertible(kind, held.reference.mime_type)):
            if not compress:
                raise MediaError(
                    ErrorCode.E_MEDIA_TYPE_UNSUPPORTED,
                    {"kind": kind, "found": bare(held.reference.mime_type), "hint": "compress"},
                )
            held = await self._shrunk(tenant, held)
        if kind == "voice" and not await self._is_opus(tenant, held):
            held = await self._voiced(tenant, held)
        kinds.check(kind, held.reference.mime_type, held.object.size, self._library.limits)
        if kind in ("image", "sticker"):
            return await self._pictured(tenant, held)
        if kind == "document":
            return Fitted(held=held)
        seconds = await self._seconds(tenant, held)
        waveform = None
        if kind == "voice" and self._sounds.available:
            pieces = self._library.read(tenant, held.object)
            waveform = await self._sounds.waveform(pieces, held.reference.mime_type)
        return Fitted(held=held, seconds=seconds, waveform=waveform)

    async def _pictured(self, tenant: str, held: Held) -> Fitted:
        data = await self._library.content(tenant, held.object)
        seen = await self._images.look(data, pixels=self._library.limits.pixels)
        return Fitted(held=held, width=seen.width, height=seen.height, thumbnail=seen.thumbnail)

    async def _shrunk(self, tenant: str, held: Held) -> Held:
        limits = self._library.limits
        most = limits.document if bare(held.reference.mime_type) in _DECODED else 0
        if held.object.size > most:
            raise MediaError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": most, "size": held.object.size})
        data = await self._library.content(tenant, held.object)
        made = await self._images.shrink(data, pixels=limits.pixels, most=limits.image)

        async def whole() -> AsyncIterator[bytes]:
            yield made.data

        return await self._kept(tenant, held, "small", made.mime_type, whole())

    async def _voiced(self, tenant: str, held: Held) -> Held:
        limits = self._library.limits
        if held.object.size > limits.most("voice"):
            raise MediaError(
                ErrorCode.E_MEDIA_TOO_LARGE, {"limit": limits.most("voice"), "size": held.object.size}
            )
        if not kinds.convertible("voice", held.reference.mime_type) and bare(held.reference.mime_type) != (
            "audio/ogg"
        ):
            raise MediaError(
                ErrorCode.E_MEDIA_TYPE_UNSUPPORTED, {"kind": "voice", "found": bare(held.reference.mime_type)}
            )
        pieces = self._library.read(tenant, held.object)
        with await self._sounds.to_voice(pieces, held.reference.mime_type) as made:
            return await self._kept(tenant, held, "voice", VOICE_TYPE, _file(made))

    async def _kept(
        self, tenant: str, held: Held, suffix: str, mime_type: str, pieces: AsyncIterator[bytes]
    ) -> Held:
        """A converted file, under an id that follows from the original's: made again, it is the same one."""
        reference = msgspec.structs.replace(
            held.reference,
            media_id=f"{held.reference.media_id}.{suffix}",
            mime_type=mime_type,
            created_at=0,
            expires_at=None,
        )
        made, _ = await self._library.put(tenant, pieces, reference=reference)
        return made

    async def _is_opus(self, tenant: str, held: Held) -> bool:
        if bare(held.reference.mime_type) != "audio/ogg":
            return False
        walker = Ogg()
        walker.feed(await self._library.content(tenant, held.object, 0, _PIECE))
        return walker.codec == "opus"

    async def _seconds(self, tenant: str, held: Held) -> float | None:
        kind = _WALKERS.get(bare(held.reference.mime_type) or "")
        if kind is None:
            return None
        walker: Walker = kind()
        async for piece in self._library.read(tenant, held.object):
            walker.feed(piece)
        return walker.seconds


async def _file(opened: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := opened.read(_PIECE):
        yield piece
