"""A file for `send_media`: what it is, whether it may go, and made smaller where that is asked for."""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pywhatsweb.contracts.content import MAX_INLINE_BYTES
from pywhatsweb.errors import ErrorCode, MediaError, NotSupportedError
from pywhatsweb.legacy.constants import MAX_MEDIA_SIZE
from pywhatsweb.legacy.exceptions import MediaTooLargeError

_IMAGES: Final = ("image/jpeg", "image/png", "image/webp")
_SIDES: Final = (2048, 1600, 1280, 960, 640)


class Prepared(NamedTuple):
    kind: Literal["image", "video", "audio", "document"]
    mime_type: str
    name: str
    data: bytes


def prepare(path: Path, *, validate: bool, compress: bool, mime_type: str | None = None) -> Prepared:
    """Raises MediaError, MediaTooLargeError, or NotSupportedError for compressing without Pillow."""
    try:
        size = path.stat().st_size
        if size > MAX_MEDIA_SIZE:
            raise MediaTooLargeError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": MAX_MEDIA_SIZE})
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(ErrorCode.E_MEDIA_SOURCE, {"reason": type(error).__name__}) from None
    mime = mime_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if validate and not data:
        raise MediaError(ErrorCode.E_MEDIA_CORRUPT)
    if compress and mime in _IMAGES and len(data) > MAX_INLINE_BYTES:
        data, mime = smaller_image(data), "image/jpeg"
    return Prepared(_kind(mime), mime, path.name, data)


def _kind(mime: str) -> Literal["image", "video", "audio", "document"]:
    family = mime.partition("/")[0]
    if mime in _IMAGES:
        return "image"
    if family == "video":
        return "video"
    return "audio" if family == "audio" else "document"


def smaller_image(data: bytes) -> bytes:
    """A JPEG that fits a command. Raises MediaTooLargeError, MediaError, or NotSupportedError without Pillow."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        reason = "pip install pillow, or pywhatsweb[fleet]"
        raise NotSupportedError(ErrorCode.E_NOT_IMPLEMENTED, {"reason": reason}) from None
    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError):
        raise MediaError(ErrorCode.E_MEDIA_CORRUPT) from None
    for side in _SIDES:
        picture.thumbnail((side, side))
        output = io.BytesIO()
        picture.save(output, "JPEG", quality=80, optimize=True)
        if output.tell() <= MAX_INLINE_BYTES:
            return output.getvalue()
    raise MediaTooLargeError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": MAX_INLINE_BYTES})
