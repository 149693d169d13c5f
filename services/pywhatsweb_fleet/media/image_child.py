"""The process that decodes images: they come from strangers, and a decoder's fault or appetite must end only this.

Standard input and output carry frames: u32 length and JSON, then u32 length and bytes. Run by `images.Images`.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space: 50 million pixels take 150 to 200 MB."""
_THUMBNAIL = 72
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class Refused(Exception):
    """With a code of the catalogue."""


def look(data: bytes, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Decodes all of it (small, where JPEG can): width, height, frames; and a thumbnail in JPEG."""
    image = _open(data, asked["pixels"])
    told = {"width": image.width, "height": image.height, "frames": getattr(image, "n_frames", 1)}
    image.draft("RGB", (_THUMBNAIL * 2, _THUMBNAIL * 2))
    image.load()
    small = _upright(image)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return told, _encode(small, "JPEG", 50)


def shrink(data: bytes, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A JPEG, or a PNG where there is transparency, of at most ``side`` pixels and ``most`` bytes."""
    image = _upright(_open(data, asked["pixels"]))
    side, most = asked["side"], asked["most"]
    form = "PNG" if _transparent(image) else "JPEG"
    for quality in (82, 70, 55, 40):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        made = _encode(image, form, quality)
        if len(made) <= most:
            return {"width": image.width, "height": image.height, "mime_type": f"image/{form.lower()}"}, made
        side = side * 3 // 4
    raise Refused("E_MEDIA_TOO_LARGE")


def square(data: bytes, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Its middle as a JPEG of at most ``side`` pixels; what shows through is white."""
    image = _upright(_open(data, asked["pixels"]))
    side = min(asked["side"], image.width, image.height)
    cut = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    if _transparent(cut):
        clear = cut.convert("RGBA")
        cut = Image.new("RGB", cut.size, "white")
        cut.paste(clear, mask=clear)
    return {"width": side, "height": side}, _encode(cut, "JPEG", 85)


def _open(data: bytes, pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height * getattr(image, "n_frames", 1) > pixels:
            raise Refused("E_MEDIA_BOMB")
    except UnidentifiedImageError:
        raise Refused("E_MEDIA_CORRUPT") from None
    return image


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image)


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _encode(image: Image.Image, form: str, quality: int) -> bytes:
    out = io.BytesIO()
    if form == "JPEG" and image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    # Nothing of the picture's own notes (place, camera, owner) goes along.
    image.save(out, form, quality=quality, optimize=True)
    return out.getvalue()


_ACTS = {"look": look, "shrink": shrink, "square": square}


def answer(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """What was asked for, or ``{"error": code}``."""
    try:
        return _ACTS[asked["act"]](data, asked)
    except Refused as refused:
        return {"error": str(refused)}, b""
    except MemoryError:
        return {"error": "E_MEDIA_BOMB"}, b""
    except Exception:  # noqa: BLE001 - decoders raise whatever they like
        return {"error": "E_MEDIA_CORRUPT"}, b""


def _read(stream: BinaryIO) -> bytes | None:
    header = stream.read(4)
    return stream.read(struct.unpack(">I", header)[0]) if len(header) == 4 else None


def main() -> None:
    """Answers until its input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None  # counted here, frames included
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    while (asked := _read(sys.stdin.buffer)) is not None and (data := _read(sys.stdin.buffer)) is not None:
        told, made = answer(json.loads(asked), data)
        for part in (json.dumps(told).encode(), made):
            sys.stdout.buffer.write(struct.pack(">I", len(part)) + part)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
