"""What a file is, learned while it passes: content hash, size, type, and whether it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator

import msgspec

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media import kinds
from pywhatsweb_fleet.media.walking import Mp4, Ogg, Walker


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """``mime_type``: declared and borne out, or found. ``codec`` of an Ogg file."""

    sha256: str
    size: int
    mime_type: str
    seconds: float | None = None
    codec: str | None = None


class Inspector:
    """Passes a file on and looks at it; ``facts`` when it has passed. Keeps 8 KiB of it."""

    def __init__(
        self, declared: str | None, most: int, *, hint: str | None = None, strict: bool = True
    ) -> None:
        """``most``: bytes after which it is refused. ``hint`` and ``strict`` as `library.Library.put` says."""
        self._declared = declared
        self._hint = hint
        self._strict = strict
        self._most = most
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = bytearray()
        self._walker: Walker | None = None
        self._begun = False

    async def passing(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The same pieces. Raises MediaError as soon as something is wrong with them."""
        async for piece in pieces:
            self._take(piece)
            yield piece
        self._end()

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise MediaError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": self._most})
        self._hash.update(piece)
        if self._begun:
            if self._walker is not None:
                self._walker.feed(piece)
            return
        self._head += piece
        if len(self._head) >= kinds.HEAD:
            self._begin()

    def _begin(self) -> None:
        """The type is known, and agrees with the declaration, before the rest is taken."""
        self._begun = True
        found = kinds.sniff(bytes(self._head[: kinds.HEAD]))
        try:
            self._declared = kinds.agreed(self._declared, found)
        except MediaError:
            if self._strict:
                raise
            # What came in is kept, but not under the name of what it is not.
            self._declared, self._hint = found or kinds.UNKNOWN, None
        if found is None and self._declared == kinds.UNKNOWN:
            self._declared = kinds.bare(self._hint) or kinds.UNKNOWN
        if found in ("video/mp4", "audio/mp4", "video/3gpp"):
            self._walker = Mp4()
        elif found == "audio/ogg":
            self._walker = Ogg()
        if self._walker is not None:
            self._walker.feed(bytes(self._head))
        self._head.clear()

    def _end(self) -> None:
        if self._size == 0:
            raise MediaError(ErrorCode.E_MEDIA_EMPTY)
        if not self._begun:
            self._begin()
        if self._strict and self._walker is not None and not self._walker.whole():
            raise MediaError(ErrorCode.E_MEDIA_CORRUPT)

    @property
    def facts(self) -> Facts:
        """After `passing` has come to its end."""
        return Facts(
            sha256=self._hash.hexdigest(),
            size=self._size,
            mime_type=self._declared or kinds.UNKNOWN,
            seconds=self._walker.seconds if self._walker is not None else None,
            codec=self._walker.codec if isinstance(self._walker, Ogg) else None,
        )
