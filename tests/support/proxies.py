"""Real proxies on loopback, HTTP (CONNECT) and SOCKS 5, that count where they led to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator

_USER, _PASSWORD = b"user", b"secret"


class Proxy:
    """`refusing`: takes connections and lets nobody through, as one that wants another password."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.led_to: list[int] = []
        """Ports, in the order of the tunnels."""
        self.refusing = False
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"{self.kind}://{_USER.decode()}:{_PASSWORD.decode()}@127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more, and every tunnel is cut."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            port = await (self._http(reader, writer) if self.kind == "http" else self._socks(reader, writer))
            if port is None:
                return
            self.led_to.append(port)
            there_in, there_out = await asyncio.open_connection("127.0.0.1", port)
            self._open.add(there_out)
            try:
                await asyncio.gather(_pump(reader, there_out), _pump(there_in, writer))
            finally:
                self._open.discard(there_out)
                there_out.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        head = await reader.readuntil(b"\r\n\r\n")
        known = base64.b64encode(_USER + b":" + _PASSWORD)
        if self.refusing or known not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return None
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return int(head.split(b" ")[1].rpartition(b":")[2])

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        """RFC 1928 and 1929: name and password, CONNECT to IPv4 or a name."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        if self.refusing or (user, password) != (_USER, _PASSWORD):
            writer.write(b"\x01\x01")
            await writer.drain()
            return None
        writer.write(b"\x01\x00")
        kind = (await reader.readexactly(4))[3]
        await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
        return port


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy(kind: str) -> AsyncIterator[Proxy]:
    running = Proxy(kind)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
