"""Links, through a resolver and a connector of the test's own: no packet goes to any address but loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media.links import Links
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_runtime import outbound
from tests.support import authority

NAMES = {
    "files.example": ["93.184.216.34"],
    "inside.example": ["10.0.0.8"],
    "local.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "both.example": ["192.168.1.9", "93.184.216.34"],
    "six.example": ["::1", "fe80::1", "fd00::5", "::ffff:10.1.2.3"],
}
Answer = Callable[[str], Awaitable[tuple[bytes, ...]]]


class Connector(httpcore.AsyncNetworkBackend):
    """Takes every connection to one port of this machine, and remembers where it was to go."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._inner = httpcore.AnyIOBackend()
        self.asked: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        return await self._inner.connect_tcp("127.0.0.1", self._port, timeout)


async def resolve(host: str, port: int) -> list[str]:
    if host.replace(".", "").isdigit() or ":" in host:
        return [host]
    if host == "localhost":
        return ["127.0.0.1", "::1"]
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


@asynccontextmanager
async def links(
    tmp_path: Path, answer: Answer, *, within_s: float = 30, networks: str = ""
) -> AsyncIterator[tuple[Links, Connector]]:
    """Behind every address there is one server, which answers by the request's path."""
    made = authority.make(tmp_path, hosts=NAMES)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.cert, made.key)

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            for part in await answer(request.split(" ")[1]):
                writer.write(part)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, ssl=context)
    connector = Connector(server.sockets[0].getsockname()[1])
    settings = MediaSettings(media_link_ca=str(made.ca), media_link_timeout_s=within_s)
    guarded = outbound.Guarded(outbound.networks(networks), resolve=resolve, connector=connector)
    async with server, Links(settings, backend=guarded) as opened:
        yield opened, connector


def ok(body: bytes, *headers: str) -> tuple[bytes, ...]:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return ("\r\n".join(lines).encode(), body)


def moved(to: str) -> tuple[bytes, ...]:
    return (f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode(),)


async def fetch(opened: Links, url: str, most: int = 1 << 20) -> bytes:
    async with opened.get(url, most) as answered:
        return b"".join([part async for part in answered.pieces()])


async def everything(path: str) -> tuple[bytes, ...]:
    """The server that the tests ask."""
    targets = {
        "/to-inside": "https://inside.example/a",
        "/to-metadata": "https://169.254.169.254/latest/meta-data",
        "/to-plain": "http://files.example/a",
        "/to-file": "file:///etc/passwd",
        "/to-good": "/a",
        "/round": "/round",
    }
    if path in targets:
        return moved(targets[path])
    if path == "/missing":
        return (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",)
    if path == "/huge":
        return ok(bytes(2 << 20))
    if path == "/cut":
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort",)
    if path == "/slow":
        await asyncio.sleep(30)
    return ok(b"the file", "Content-Type: text/csv")


async def test_a_public_link_is_fetched(tmp_path: Path) -> None:
    """By the address that was checked; a redirect to another path too."""
    async with links(tmp_path, everything) as (opened, connector):
        assert await fetch(opened, "https://files.example/a") == b"the file"
        assert await fetch(opened, "https://files.example/to-good") == b"the file"
        assert await fetch(opened, "https://both.example/a") == b"the file"
        assert set(connector.asked) == {"93.184.216.34"}
        async with opened.get("https://files.example/relat%C3%B3rio.csv", 100) as answered:
            assert (answered.filename, answered.mime_type, answered.size) == ("relatório.csv", "text/csv", 8)


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/a",
        "https://127.0.0.1/a",
        "https://127.1.2.3/a",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a",
        "https://[fe80::1]/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://0.0.0.0/a",
        "https://localhost/a",
        "https://local.example/a",
        "https://inside.example/a",
        "https://metadata.example/a",
        "https://six.example/a",
        "https://files.example/to-inside",
        "https://files.example/to-metadata",
        "https://files.example/to-plain",
        "https://files.example/to-file",
        "https://files.example/round",
        "http://files.example/a",
        "https://files.example/\u00e9",
        "https://user:word@files.example/a",
        "https:///a",
        "https://files.example:port/a",
    ],
)
async def test_what_may_not_be_reached(tmp_path: Path, url: str) -> None:
    """Direct, by a name, by a redirect; nothing is ever asked of an address that is not public."""
    async with links(tmp_path, everything) as (opened, connector):
        with pytest.raises(MediaError) as refused:
            await fetch(opened, url)
        assert refused.value.code is ErrorCode.E_MEDIA_LINK_REFUSED
        assert set(connector.asked) <= {"93.184.216.34"}


async def test_what_a_setting_allows(tmp_path: Path) -> None:
    """A network of one's own, and no other."""
    async with links(tmp_path, everything, networks="10.0.0.0/8") as (opened, _):
        assert await fetch(opened, "https://inside.example/a") == b"the file"
        with pytest.raises(MediaError):
            await fetch(opened, "https://local.example/a")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://files.example/missing", ErrorCode.E_MEDIA_DOWNLOAD_FAILED),
        ("https://unknown.example/a", ErrorCode.E_MEDIA_DOWNLOAD_FAILED),
        ("https://files.example/cut", ErrorCode.E_MEDIA_DOWNLOAD_FAILED),
        ("https://files.example/huge", ErrorCode.E_MEDIA_TOO_LARGE),
    ],
)
async def test_what_does_not_come(tmp_path: Path, url: str, code: ErrorCode) -> None:
    """Each its code."""
    async with links(tmp_path, everything) as (opened, _):
        with pytest.raises(MediaError) as refused:
            await fetch(opened, url)
        assert refused.value.code is code


async def test_what_takes_too_long(tmp_path: Path) -> None:
    """It is given up after the time set, for the whole of it."""
    async with links(tmp_path, everything, within_s=0.5) as (opened, _):
        with pytest.raises(MediaError) as refused:
            await fetch(opened, "https://files.example/slow")
        assert refused.value.code is ErrorCode.E_MEDIA_TOO_SLOW
