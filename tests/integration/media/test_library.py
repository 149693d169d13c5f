"""Stored files, on both databases: put, held, shared, dropped, swept; nothing half, nothing lost, nothing too many."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import Objects, ObjectsUnavailable
from pywhatsweb_fleet.media.opening import Shelf, open_shelf
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.media.uploads import PART, Asked
from pywhatsweb_fleet.storage import media
from pywhatsweb_fleet.storage.media import Reference
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.support import wait_until

KEYRING = Keyring([bytes(range(32))])
DAY_MS = 86_400_000


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def upload(media_id: str, mime_type: str = "") -> Reference:
    return Reference(media_id=media_id, sha256="", origin="upload", mime_type=mime_type)


def message(media_id: str, chat: str, message_id: str) -> Reference:
    return Reference(
        media_id=media_id, sha256="", origin="message", mime_type="", session="s1", chat=chat, message_id=message_id
    )  # fmt: skip


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_is_kept_once_and_sealed(shelf: Shelf, folder: Path) -> None:
    """The same content twice is one object; its bytes are nowhere in the clear; another tenant's is its own."""
    data = b"a secret that must not lie about" + os.urandom(300_000)
    first, _ = await shelf.library.put("acme", pieces(data), reference=upload("m1"))
    second, _ = await shelf.library.put("acme", pieces(data), reference=upload("m2"))
    assert first.object == second.object
    await shelf.library.put("other", pieces(data), reference=upload("m1"))
    await shelf.library.sweep()
    kept = files_in(folder)
    assert len(kept) == 2
    assert all(b"a secret" not in path.read_bytes() for path in kept)
    for media_id in ("m1", "m2"):
        held = await shelf.library.find("acme", media_id)
        assert await shelf.library.content("acme", held.object) == data
        assert await shelf.library.content("acme", held.object, 299_990, 20) == data[299_990:300_010]
    with pytest.raises(MediaError):
        await shelf.library.find("other", "m2")


async def test_only_what_nobody_else_holds_goes(shelf: Shelf, folder: Path) -> None:
    """An erased chat's files go, but for the bytes that another chat, or an upload, has too."""
    shared, own = os.urandom(5000), os.urandom(5000)
    library = shelf.library
    held, _ = await library.put("acme", pieces(shared), reference=upload("up"))
    assert await library.share("acme", held, message("m1", "ana", "W1"))
    await library.put("acme", pieces(own), reference=message("m2", "ana", "W2"))
    await library.put("acme", pieces(shared), reference=message("m3", "rui", "W3"))
    assert [one.reference.media_id for one in await library.page("acme", chats=["ana"])] == ["m2", "m1"]

    dropped = await library.forget("acme", chats=["ana"])
    assert (dropped.references, len(dropped.keys)) == (2, 1)
    assert len(files_in(folder)) == 1
    assert await library.page("acme", chats=["ana"]) == []
    assert await library.content("acme", (await library.find("acme", "m3")).object) == shared

    await library.forget("acme", messages=[("s1", "W3")], media_ids=["up"])
    assert files_in(folder) == []
    assert await library.page("acme") == []


async def test_holders_race_with_the_last_one_that_goes(shelf: Shelf) -> None:
    """Dropped and held at the same time: whoever holds it in the end can read it."""
    data = os.urandom(3000)
    library = shelf.library
    await library.put("acme", pieces(data), reference=upload("m0"))
    for turn in range(12):
        await asyncio.gather(
            library.forget("acme", media_ids=[f"m{turn}"]),
            library.put("acme", pieces(data), reference=upload(f"m{turn + 1}")),
        )
        held = await library.find("acme", f"m{turn + 1}")
        assert await library.content("acme", held.object) == data


async def test_what_is_past_its_time_is_swept(shelf: Shelf, folder: Path) -> None:
    """References expire after 30 days, and unfinished uploads after one."""
    library, uploads = shelf.library, shelf.uploads
    await library.put("acme", pieces(b"old" * 1000), reference=upload("m1"))
    upload_id = await uploads.begin("acme", PART + 10, Asked())
    await uploads.part("acme", upload_id, 0, bytes(PART))
    now = time.time_ns() // 1_000_000
    assert await library.sweep(now + 29 * DAY_MS) == 0
    assert await uploads.sweep(now) == 0
    assert await uploads.sweep(now + 2 * DAY_MS) == 1
    assert await library.sweep(now + 31 * DAY_MS) == 1
    assert files_in(folder) == []
    with pytest.raises(MediaError):
        await uploads.finish("acme", upload_id)


async def test_parts_in_any_order_and_again(shelf: Shelf, folder: Path) -> None:
    """Missing ones are named; a wrong one shows by the hash; finished twice it is the same file."""
    uploads = shelf.uploads
    data = os.urandom(3 * PART + 1000)
    upload_id = await uploads.begin("acme", len(data), Asked(filename="a.bin"))
    for offset in (3 * PART, PART, PART, 0):
        await uploads.part("acme", upload_id, offset, data[offset : offset + PART])
    with pytest.raises(MediaError) as lacks:
        await uploads.finish("acme", upload_id)
    assert lacks.value.code is ErrorCode.E_MEDIA_UPLOAD_INCOMPLETE
    assert lacks.value.details["missing"] == [2 * PART]
    await uploads.part("acme", upload_id, 2 * PART, bytes(PART))
    with pytest.raises(MediaError) as other:
        await uploads.finish("acme", upload_id, hashlib.sha256(data).hexdigest())
    assert other.value.code is ErrorCode.E_MEDIA_CORRUPT
    await uploads.part("acme", upload_id, 2 * PART, data[2 * PART : 3 * PART])
    held, _ = await uploads.finish("acme", upload_id, hashlib.sha256(data).hexdigest())
    again, _ = await uploads.finish("acme", upload_id)
    assert again.reference == held.reference
    assert await shelf.library.content("acme", held.object) == data
    await shelf.library.sweep()
    assert len(files_in(folder)) == 1


@pytest.mark.parametrize(
    ("offset", "size", "code"),
    [
        (1, PART, ErrorCode.E_INVALID_FIELD),
        (0, 10, ErrorCode.E_INVALID_FIELD),
        (4 * PART, 10, ErrorCode.E_INVALID_FIELD),
    ],
)
async def test_parts_that_do_not_fit(shelf: Shelf, offset: int, size: int, code: ErrorCode) -> None:
    """At a place, or of a size, that no part has."""
    upload_id = await shelf.uploads.begin("acme", 2 * PART, Asked())
    with pytest.raises(MediaError) as refused:
        await shelf.uploads.part("acme", upload_id, offset, bytes(size))
    assert refused.value.code is code
    with pytest.raises(MediaError):
        await shelf.uploads.part("other", upload_id, 0, bytes(PART))


async def test_an_object_store_that_is_away(store: Store) -> None:
    """It is told by its code; the rows are as before, and the file can be put when it is back."""
    library = Library(store, KEYRING, _Away(), MediaSettings())
    with pytest.raises(ObjectsUnavailable):
        await library.put("acme", pieces(b"x" * 10), reference=upload("m1"))
    assert await library.page("acme") == []
    assert await store.read(media.leftovers, time.time_ns() // 1_000_000 + 1000, 10)


class _Away(Objects):
    def __init__(self) -> None:
        pass

    async def write(self, key: str, chunks: object) -> None:
        raise ObjectsUnavailable("away")


_KILLED = """
import asyncio, os, sys
from pywhatsweb_fleet.media.opening import open_shelf
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.storage.media import Reference
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import open_store

async def main():
    store = open_store(sys.argv[1])
    await store.migrate()
    shelf = open_shelf(MediaSettings(media_url=sys.argv[2]), store, Keyring([bytes(range(32))]))
    async def endless():
        while True:
            yield os.urandom(65536)
    await shelf.library.put("acme", endless(), reference=Reference(
        media_id="m1", sha256="", origin="upload", mime_type=""), most=1 << 40)

asyncio.run(main())
"""


async def test_killed_in_the_middle_of_a_put(tmp_path: Path) -> None:
    """No half file is seen, and what was written of it is swept, staged parts included."""
    url, folder = f"sqlite:///{tmp_path}/store.db", tmp_path / "media"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, url, folder.as_uri())
    try:
        await wait_until(
            lambda: folder.exists() and sum(path.stat().st_size for path in files_in(folder)) > 12_000_000, 60
        )
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    assert files_in(folder)
    store = open_store(url)
    try:
        shelf = open_shelf(MediaSettings(media_url=folder.as_uri()), store, KEYRING)
        assert shelf is not None
        assert await shelf.library.page("acme") == []
        assert await shelf.library.sweep() == 0  # it may still be being written, for all one knows
        assert await shelf.library.sweep(time.time_ns() // 1_000_000 + DAY_MS) == 1
        assert files_in(folder) == []
    finally:
        await store.close()
