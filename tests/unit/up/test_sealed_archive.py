"""The file of a backup: what goes in comes out, and nothing that was changed, cut off or made with another key does."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb_fleet.media.sealed import CHUNK, TAG
from pywhatsweb_fleet.up import sealed_archive

KEY = bytes(range(32))
FILES = {
    "manifest.json": b"{}",
    "database/sqlite": os.urandom(300_000),
    "streams/A": b"",
    "media/t/1": b"x" * 70_000,
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.backup"
    with sealed_archive.writing(path, KEY) as archive:
        for name, content in FILES.items():
            archive.add_bytes(name, content)
    return path


def content(path: Path, key: bytes = KEY) -> dict[str, bytes]:
    with sealed_archive.reading(path, key) as members:
        return {name: file.read() for name, file in members}


def test_what_goes_in_comes_out(archive: Path) -> None:
    """Names and bytes; nothing of it can be read in the file, which only its owner may read."""
    assert content(archive) == FILES
    assert sealed_archive.verify(archive, KEY) == list(FILES)
    assert b"manifest" not in archive.read_bytes()
    assert archive.stat().st_mode & 0o077 == 0


def test_another_key_is_told_from_damage(archive: Path) -> None:
    with pytest.raises(StorageError) as refused:
        content(archive, bytes(32))
    assert refused.value.code is ErrorCode.E_BACKUP_KEY


def test_every_change_shows(archive: Path) -> None:
    """A byte changed anywhere, a piece missing anywhere, something added, two chunks exchanged."""
    raw = archive.read_bytes()
    size = len(raw)
    chunk = CHUNK + TAG
    begin = 5 + 8 + 61
    places = [0, 4, 20, begin, begin + 1, size // 2, size - chunk, size - 1]
    changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in places]
    cut = [raw[:at] for at in (0, 3, begin - 1, begin, begin + chunk, size // 2, size - 1)]
    first, second = raw[begin : begin + chunk], raw[begin + chunk : begin + 2 * chunk]
    exchanged = raw[:begin] + second + first + raw[begin + 2 * chunk :]
    left_out = raw[:begin] + raw[begin + chunk :]
    for bad in [*changed, *cut, exchanged, left_out, raw + b"x", raw + raw]:
        archive.write_bytes(bad)
        with pytest.raises(StorageError) as refused:
            sealed_archive.verify(archive, KEY)
        assert refused.value.code is ErrorCode.E_BACKUP_DAMAGED


def test_a_changed_key_id_is_another_key(archive: Path) -> None:
    raw = bytearray(archive.read_bytes())
    raw[7] ^= 1
    archive.write_bytes(bytes(raw))
    with pytest.raises(StorageError) as refused:
        sealed_archive.verify(archive, KEY)
    assert refused.value.code is ErrorCode.E_BACKUP_KEY


def test_what_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with sealed_archive.writing(tmp_path / "b", KEY) as archive:
            archive.add_bytes("a", b"x")
            archive.add_stream("short", io.BytesIO(b"x"), 10)

    with pytest.raises(OSError, match="unexpected end of data"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_climb_out(tmp_path: Path) -> None:
    """A name with .. in it, or an absolute one, comes from nobody's backup."""
    for name in ("../evil", "/etc/evil"):
        with sealed_archive.writing(tmp_path / "c", KEY) as archive:
            archive.add_bytes(name, b"x")
        with pytest.raises(StorageError) as refused:
            sealed_archive.verify(tmp_path / "c", KEY)
        assert refused.value.code is ErrorCode.E_BACKUP_DAMAGED
