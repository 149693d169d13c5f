"""What files say of themselves: types, containers, and the seal that they are kept under."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.gateway.downloads import span_of
from pywhatsweb_fleet.media import kinds, sealed
from pywhatsweb_fleet.media.images import Images
from pywhatsweb_fleet.media.inspecting import Inspector
from pywhatsweb_fleet.media.kinds import Limits
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.media.walking import Mp4
from pywhatsweb_fleet.storage.faults import Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher

LIMITS = Limits.of(MediaSettings())
CIPHER = Cipher(bytes(range(32)))
MOVIE = (
    b"\0\0\0\x18ftypisom\0\0\x02\0isommp42"
    + (8 + 108).to_bytes(4, "big") + b"moov" + (108).to_bytes(4, "big") + b"mvhd" + bytes(12)
    + (600).to_bytes(4, "big") + (1500).to_bytes(4, "big") + bytes(80)
    + (8 + 5000).to_bytes(4, "big") + b"mdat" + bytes(5000)
)  # fmt: skip


async def pieces(data: bytes, size: int = 7001) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def image(form: str, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, form)
    return out.getvalue()


async def inspected(
    data: bytes, declared: str | None, *, most: int = 1 << 20, strict: bool = True
) -> Inspector:
    inspector = Inspector(declared, most, strict=strict)
    async for _ in inspector.passing(pieces(data)):
        pass
    return inspector


@pytest.mark.parametrize(
    ("data", "declared", "told"),
    [
        (image("JPEG"), "image/jpg", "image/jpg"),
        (image("PNG"), None, "image/png"),
        (image("WEBP"), "application/octet-stream", "image/webp"),
        (MOVIE, "video/mp4", "video/mp4"),
        (MOVIE, "audio/mp4; codecs=mp4a", "audio/mp4; codecs=mp4a"),
        (b"a,b\n1,2\n" * 40, "text/csv", "text/csv"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "image/svg+xml"),
        (b"PK\x03\x04" + bytes(200), "application/epub+zip", "application/epub+zip"),
        (b"nobody knows" * 9, None, kinds.UNKNOWN),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)  # fmt: skip
async def test_what_is_declared_and_borne_out(data: bytes, declared: str | None, told: str) -> None:
    """The declaration stands where the bytes do not speak against it; without one the bytes are asked."""
    assert (await inspected(data, declared)).facts.mime_type == told


@pytest.mark.parametrize(
    ("data", "declared", "code"),
    [
        (image("PNG"), "image/jpeg", ErrorCode.E_MEDIA_TYPE_MISMATCH),
        (b"MZ\x90\0" + bytes(400), "image/png", ErrorCode.E_MEDIA_TYPE_MISMATCH),
        (b"just words, no picture", "image/png", ErrorCode.E_MEDIA_TYPE_MISMATCH),
        (image("PNG"), "application/pdf", ErrorCode.E_MEDIA_TYPE_MISMATCH),
        (b"", None, ErrorCode.E_MEDIA_EMPTY),
        (MOVIE[:-100], "video/mp4", ErrorCode.E_MEDIA_CORRUPT),
        (b"OggS" + bytes(400), None, ErrorCode.E_MEDIA_CORRUPT),
        (bytes((1 << 20) + 1), None, ErrorCode.E_MEDIA_TOO_LARGE),
    ],
    ids=lambda value: value.name if isinstance(value, ErrorCode) else "-",
)
async def test_what_is_refused(data: bytes, declared: str | None, code: ErrorCode) -> None:
    """Each fault its code."""
    with pytest.raises(MediaError) as refused:
        await inspected(data, declared)
    assert refused.value.code is code


async def test_what_comes_in_is_kept_as_it_is() -> None:
    """A contact's file is stored though it is cut off or called by another's name."""
    assert (await inspected(MOVIE[:-100], "image/jpeg", strict=False)).facts.size == len(MOVIE) - 100


@pytest.mark.parametrize(
    ("kind", "mime_type", "size", "code"),
    [
        ("image", "image/jpeg", 16 << 20, None),
        ("image", "image/jpeg", (16 << 20) + 1, ErrorCode.E_MEDIA_TOO_LARGE),
        ("image", "image/gif", 10, ErrorCode.E_MEDIA_TYPE_UNSUPPORTED),
        ("video", "video/webm", 10, ErrorCode.E_MEDIA_TYPE_UNSUPPORTED),
        ("video", "video/mp4", (16 << 20) + 1, ErrorCode.E_MEDIA_TOO_LARGE),
        ("document", "application/x-anything", 100 << 20, None),
        ("document", "image/gif", (100 << 20) + 1, ErrorCode.E_MEDIA_TOO_LARGE),
        ("voice", "audio/ogg; codecs=opus", 16 << 20, None),
        ("sticker", "image/webp", 2 << 20, ErrorCode.E_MEDIA_TOO_LARGE),
    ],
)
def test_whatsapps_limits(kind: kinds.Kind, mime_type: str, size: int, code: ErrorCode | None) -> None:
    """By kind, at the last byte."""
    if code is None:
        kinds.check(kind, mime_type, size, LIMITS)
        return
    with pytest.raises(MediaError) as refused:
        kinds.check(kind, mime_type, size, LIMITS)
    assert refused.value.code is code


@given(st.integers(1, 4000), st.integers(0, len(MOVIE)))
def test_a_movie_is_read_in_any_pieces(step: int, cut: int) -> None:
    """Whole only when it is, whatever the pieces; its length is in its header."""
    walker = Mp4()
    data = MOVIE[:cut]
    for at in range(0, len(data), step):
        walker.feed(data[at : at + step])
    assert walker.whole() is (cut == len(MOVIE))
    if cut == len(MOVIE):
        assert walker.seconds == 2.5


@given(st.integers(0, 3 * sealed.CHUNK), st.data())
async def test_any_part_of_a_sealed_file_opens(size: int, draw: st.DataObject) -> None:
    """Chunks open by themselves: any span, from the bytes of its own chunks."""
    data = bytes(size)[: size // 2] + os.urandom(size - size // 2)
    whole = b"".join([part async for part in sealed.seal(pieces(data, 50_000), CIPHER, b"here")])
    key = sealed.opened(whole[: sealed.HEADER], CIPHER, b"here")
    offset = draw.draw(st.integers(0, size))
    length = draw.draw(st.integers(0, size - offset))
    first, start, end, skip = sealed.span(offset, length, size)
    spanned = pieces(whole[start:end])
    opened = sealed.open_span(spanned, key, first=first, skip=skip, length=length, size=size)
    assert b"".join([part async for part in opened]) == data[offset : offset + length]


async def test_what_was_touched_does_not_open() -> None:
    """Changed, cut off at a chunk, chunks exchanged, moved to another place, under another key."""
    size = 2 * sealed.CHUNK + 10
    whole = b"".join([part async for part in sealed.seal(pieces(bytes(size)), CIPHER, b"here")])
    body, step = whole[sealed.HEADER :], sealed.CHUNK + sealed.TAG
    for bad in (
        body[:100] + bytes((body[100] ^ 1,)) + body[101:],
        body[:step],
        body[step : 2 * step] + body[:step] + body[2 * step :],
    ):
        key = sealed.opened(whole[: sealed.HEADER], CIPHER, b"here")
        with pytest.raises(Unsealable):
            [
                part
                async for part in sealed.open_span(pieces(bad), key, first=0, skip=0, length=size, size=size)
            ]
    for cipher, place in ((CIPHER, b"there"), (Cipher(bytes(32)), b"here")):
        with pytest.raises(Unsealable):
            sealed.opened(whole[: sealed.HEADER], cipher, place)


async def test_images_are_decoded_elsewhere() -> None:
    """Whole ones tell their size, cut ones and bombs their code; the decoder serves on after each."""
    images = Images()
    try:
        for form in ("JPEG", "PNG", "WEBP", "GIF"):
            data = image(form)
            seen = await images.look(data, pixels=10_000)
            assert (seen.width, seen.height) == (64, 48)
            assert seen.thumbnail[:2] == b"\xff\xd8"
            with pytest.raises(MediaError) as cut:
                await images.look(data[: len(data) // 2], pixels=10_000)
            assert cut.value.code is ErrorCode.E_MEDIA_CORRUPT
        for bomb in (image("PNG", (8000, 8000), "1"), _frames(60, (1000, 1000))):
            with pytest.raises(MediaError) as refused:
                await images.look(bomb, pixels=50_000_000)
            assert refused.value.code is ErrorCode.E_MEDIA_BOMB
        small = await images.shrink(image("TIFF", (2400, 1800)), pixels=50_000_000, most=100_000)
        assert (small.mime_type, small.width, small.height) == ("image/jpeg", 1600, 1200)
        clear = await images.shrink(image("PNG", (40, 40), "RGBA"), pixels=50_000_000, most=100_000)
        assert clear.mime_type == "image/png"
        square = await images.square(image("PNG", (1300, 700), "RGBA"), pixels=50_000_000)
        with Image.open(io.BytesIO(square)) as shown:
            assert (shown.format, shown.size) == ("JPEG", (640, 640))
        with pytest.raises(MediaError) as none:
            await images.square(b"no image", pixels=50_000_000)
        assert none.value.code is ErrorCode.E_MEDIA_CORRUPT
    finally:
        await images.close()


def _frames(count: int, size: tuple[int, int]) -> bytes:
    """An animation whose frames are small, and together are not."""
    out = io.BytesIO()
    first, *rest = (Image.new("1", size, at % 2) for at in range(count))
    first.save(out, "GIF", save_all=True, append_images=rest)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (None, (0, 1000, False)),
        ("bytes=0-99", (0, 100, True)),
        ("bytes=900-", (900, 1000, True)),
        ("bytes=900-5000", (900, 1000, True)),
        ("bytes=-1", (999, 1000, True)),
        ("bytes=-5000", (0, 1000, True)),
        ("bytes=1000-", None),
        ("bytes=5-4", None),
        ("bytes=-0", None),
        ("bytes=0-1,5-6", (0, 1000, False)),
        ("lines=1-2", (0, 1000, False)),
    ],
)
def test_ranges(text: str | None, span: tuple[int, int, bool] | None) -> None:
    """As RFC 9110 has them; several at once are not served, so the whole file is."""
    assert span_of(text, 1000) == span
