"""The same files in what speaks S3 instead of a folder: moto's server, on loopback."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from pywhatsweb.errors import MediaError
from pywhatsweb_fleet.media.objects import NoSuchObject, Objects, ObjectsUnavailable
from pywhatsweb_fleet.media.opening import open_shelf
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.media.uploads import PART, Asked
from pywhatsweb_fleet.storage.media import Reference
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with one bucket."""
    pytest.importorskip("flask_cors", reason="moto's server is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    assert httpx.put(f"{url}/files").status_code == 200
    yield url
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 300_000):
        yield data[at : at + 300_000]


async def test_files_in_a_bucket(store: Store, endpoint: str) -> None:
    """A file of several parts comes back byte for byte, a range of it too, and goes when it is let go."""
    settings = MediaSettings(media_url="s3://files/fleet", media_endpoint=endpoint)
    shelf = open_shelf(settings, store, Keyring([bytes(range(32))]))
    assert shelf is not None
    data = os.urandom(12_000_000)
    reference = Reference(media_id="m1", sha256="", origin="upload", mime_type="")
    held, facts = await shelf.library.put("acme", pieces(data), reference=reference)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert await shelf.library.content("acme", held.object) == data
    assert await shelf.library.content("acme", held.object, 7_000_000, 1000) == data[7_000_000:7_001_000]
    upload_id = await shelf.uploads.begin("acme", PART + 5, Asked())
    for offset in (PART, 0):
        await shelf.uploads.part("acme", upload_id, offset, data[offset : min(offset + PART, PART + 5)])
    second, _ = await shelf.uploads.finish("acme", upload_id)
    assert await shelf.library.content("acme", second.object) == data[: PART + 5]
    await shelf.library.forget("acme", media_ids=["m1", second.reference.media_id])
    for found in (held, second):
        with pytest.raises(MediaError):
            await shelf.library.content("acme", found.object, 1, 1)
    assert await Objects("s3://files/fleet", endpoint).remove_all("acme/") == 0


async def test_a_bucket_that_is_not_there(endpoint: str) -> None:
    """And a key that is not: both are told apart."""
    with pytest.raises(NoSuchObject):
        await Objects("s3://files/fleet", endpoint).head("acme/none", 10)
    with pytest.raises(ObjectsUnavailable):
        await Objects("s3://elsewhere", endpoint).write("a", pieces(b"x"))


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/a", "s3:"])
def test_what_is_no_object_store(url: str) -> None:
    """It is said at the start."""
    with pytest.raises(ValueError, match="names no object store"):
        Objects(url)
