"""The file of a form, while it is taken in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb.contracts.media_data import PART_BYTES
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway import forms
from pywhatsweb_fleet.gateway.problems import GatewayError

HEADERS = {"content-type": "multipart/form-data; boundary=line"}


def form(content: bytes) -> bytes:
    head = b'--line\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    return head + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n--line--\r\n"


def receiving(body: bytes, size: int = 60_000) -> Any:
    """An ASGI `receive` that gives the body in pieces."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return receive


def on_disk(folder: Path) -> bytes:
    """Everything that this process has in files of the folder, nameless ones too."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists() or link.is_symlink()]
    found = b""
    for link in links:
        try:
            if str(link.readlink()).startswith(str(folder)):
                found += link.read_bytes()
        except OSError:  # closed in between
            continue
    return found


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 3 * PART_BYTES + 5])
async def test_a_file_comes_out_as_it_went_in(size: int) -> None:
    """In parts of one size but the last."""
    content = os.urandom(size)
    async with forms.file_of(HEADERS, receiving(form(content))) as file:
        parts = [part async for part in file.parts()]
    assert (file.size, file.mime_type, file.filename) == (size, "image/png", "a.bin")
    assert b"".join(parts) == content
    assert {len(part) for part in parts[:-1]} <= {PART_BYTES}


async def test_what_lies_on_disk_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is there, and none of its words."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content = b"the customer's passport " * 200_000
    async with forms.file_of(HEADERS, receiving(form(content))) as file:
        kept = on_disk(tmp_path)
        assert len(kept) > len(content) - 2 * PART_BYTES
        assert b"passport" not in kept
        assert b"".join([part async for part in file.parts()]) == content
    assert on_disk(tmp_path) == b""


async def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its code."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forms.Held, "write", full)
    with pytest.raises(GatewayError) as refused:
        async with forms.file_of(HEADERS, receiving(form(b"x"))):
            pass
    assert refused.value.code == ErrorCode.E_MEDIA_STORE_UNAVAILABLE
