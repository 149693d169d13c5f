"""What WhatsApp takes as which kind of message, and what the bytes themselves say they are.

Types as in https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media, and what WhatsApp Web takes beside.
"""

from __future__ import annotations

from typing import Final, Literal

import filetype
import msgspec

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media.settings import MediaSettings

Kind = Literal["image", "video", "audio", "voice", "document", "sticker"]
UNKNOWN: Final = "application/octet-stream"
HEAD: Final = 8192
"""Bytes that suffice to tell a type."""

_TAKEN: Final[dict[str, frozenset[str]]] = {
    "image": frozenset(("image/jpeg", "image/png", "image/webp")),
    "video": frozenset(("video/mp4", "video/3gpp")),
    "audio": frozenset(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg")),
    "voice": frozenset(("audio/ogg",)),
    "sticker": frozenset(("image/webp",)),
}
_CONVERTIBLE: Final[dict[str, frozenset[str]]] = {
    "image": frozenset(("image/gif", "image/bmp", "image/tiff")),
    "voice": frozenset(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/wav", "audio/flac", "video/mp4")),
}  # fmt: skip
"""What can be made into it when that is asked for; a voice message always is."""
_SAME: Final[dict[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "audio/mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "application/x-zip-compressed": "application/zip",
    "application/x-msdownload": "application/x-dosexec",
    "application/x-gzip": "application/gzip",
}
_CONTAINERS: Final[dict[str, tuple[str, ...]]] = {
    # What the bytes say, and what a more exact declaration may say of the same bytes.
    "application/zip": ("application/vnd.", "application/epub+zip", "application/java-archive", "application/x-"),
    "application/x-dosexec": ("application/vnd.microsoft.portable-executable", "application/x-msdos-program"),
    "application/msword": ("application/vnd.ms-", "application/x-ole-storage"),
    "application/gzip": ("application/x-",),
    "application/xml": ("image/svg+xml", "application/", "text/"),
    "video/mp4": ("audio/mp4", "video/3gpp", "video/quicktime"),
    "audio/mp4": ("video/mp4", "audio/aac"),
    "audio/ogg": ("video/ogg",),
    "video/webm": ("audio/webm", "video/x-matroska"),
    "video/x-matroska": ("video/webm", "audio/webm"),
}  # fmt: skip
_TELLING: Final = ("image/", "video/", "audio/", "application/pdf", "application/zip")
"""Types whose bytes are always recognised: a declaration of one that the bytes do not bear out is false."""
_UNTOLD: Final = frozenset(("image/svg+xml",))


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Most bytes by kind; a tenant's record may hold others than the fleet's."""

    image: int
    video: int
    audio: int
    sticker: int
    document: int
    pixels: int

    @classmethod
    def of(cls, settings: MediaSettings) -> Limits:
        return cls(
            image=settings.media_image_bytes,
            video=settings.media_video_bytes,
            audio=settings.media_audio_bytes,
            sticker=settings.media_sticker_bytes,
            document=settings.media_document_bytes,
            pixels=settings.media_max_pixels,
        )

    def most(self, kind: str | None) -> int:
        """For a kind; without one, the largest of all."""
        if kind is None:
            return max(self.image, self.video, self.audio, self.document)
        return int(getattr(self, "audio" if kind == "voice" else kind))


def bare(mime_type: str | None) -> str | None:
    """A type as it is compared: lower case, without parameters, one name for each."""
    if not mime_type:
        return None
    name = mime_type.partition(";")[0].strip().lower()
    return _SAME.get(name, name)


def sniff(head: bytes) -> str | None:
    """What the first bytes say; None when nothing is known to begin so."""
    found = bare(filetype.guess_mime(head))
    if found == "video/mp4" and head[8:11] == b"3gp":
        return "video/3gpp"
    return found


def agreed(declared: str | None, found: str | None) -> str:
    """The file's type: the declaration, with its parameters, where the bytes do not contradict it.

    Raises MediaError(E_MEDIA_TYPE_MISMATCH).
    """
    told = bare(declared)
    if told is None or told == UNKNOWN:
        return found or UNKNOWN
    if found is None:
        if told.startswith(_TELLING) and told not in _UNTOLD:
            raise MediaError(ErrorCode.E_MEDIA_TYPE_MISMATCH, {"declared": told})
    elif found != told and not told.startswith(_CONTAINERS.get(found, ("\0",))):
        raise MediaError(ErrorCode.E_MEDIA_TYPE_MISMATCH, {"declared": told, "found": found})
    return (declared or told).strip()


def check(kind: Kind, mime_type: str, size: int, limits: Limits) -> None:
    """Whether WhatsApp takes it as this kind. Raises MediaError."""
    if size == 0:
        raise MediaError(ErrorCode.E_MEDIA_EMPTY)
    if size > limits.most(kind):
        raise MediaError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": limits.most(kind), "size": size})
    taken = _TAKEN.get(kind)
    if taken is not None and bare(mime_type) not in taken:
        raise MediaError(ErrorCode.E_MEDIA_TYPE_UNSUPPORTED, {"kind": kind, "found": bare(mime_type)})


def convertible(kind: Kind, mime_type: str) -> bool:
    """Whether it can be made into what the kind takes."""
    return bare(mime_type) in _CONVERTIBLE.get(kind, ())
