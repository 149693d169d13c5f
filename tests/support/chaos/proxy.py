"""A TCP proxy on loopback between the sidecars and WhatsApp, whose links one can cut, silence and slow down."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time: closing sends RST and drops what is unsent
_CHUNK = 65536


class Proxy:
    """Passes everything on to ``target`` until told otherwise."""

    def __init__(self, target: int) -> None:
        """``target``: a port on loopback."""
        self.delay_s = 0.0
        """How much later each piece arrives, either way."""
        self.refuses = False
        """New connections are reset at once."""
        self.passes = asyncio.Event()
        """While it is cleared, nothing comes through and nothing is closed: a firewall that drops."""
        self.passes.set()
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()

    def cut(self, share: float = 1.0) -> int:
        """Resets that share of the connections, the oldest first; how many there were."""
        writers = list(self._open)
        for writer in writers[: round(len(writers) * share)]:
            _reset(writer)
        return len(writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            _reset(writer)
            return
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(onward, writer))
        finally:
            self._open -= {writer, back}
            for one in (writer, back):
                one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_CHUNK):
                await self.passes.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(piece)
                await writer.drain()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
