"""Small files of each kind, made without anybody's tools."""

from __future__ import annotations

import io
import os
import struct

from PIL import Image


def picture(form: str, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, form)
    return out.getvalue()


def movie(size: int = 20_000) -> bytes:
    """A movie's frame without pictures."""
    mvhd = bytes(12) + (1000).to_bytes(4, "big") + (5000).to_bytes(4, "big") + bytes(80)
    header = (len(mvhd) + 8).to_bytes(4, "big") + b"mvhd" + mvhd
    moov = (len(header) + 8).to_bytes(4, "big") + b"moov" + header
    mdat = (size + 8).to_bytes(4, "big") + b"mdat" + os.urandom(size)
    return b"\0\0\0\x18ftypisom\0\0\x02\0isommp42" + moov + mdat


def opus(seconds: int = 2) -> bytes:
    """Silence, as Opus in Ogg (RFC 7845, RFC 3533): one packet of 20 ms a page."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    serial = int.from_bytes(os.urandom(3), "big")
    pages = [_page(head, 0, 0, serial, 2), _page(tags, 0, 1, serial, 0)]
    frames = seconds * 50
    pages += (
        _page(b"\xf8\xff\xfe", number * 960, number + 1, serial, 4 if number == frames else 0)
        for number in range(1, frames + 1)
    )
    return b"".join(pages)


def _page(packet: bytes, granule: int, number: int, serial: int, flags: int) -> bytes:
    body = bytes((len(packet),)) + packet
    head = b"OggS" + struct.pack("<BBqII", 0, flags, granule, serial, number)
    checksum = 0
    for byte in head + bytes(4) + b"\x01" + body:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x04C11DB7 if checksum & 0x80000000 else 0)
        checksum &= 0xFFFFFFFF
    return head + struct.pack("<I", checksum) + b"\x01" + body
