"""One connection to one sidecar process: frames in, frames out in one write a turn of the loop, bounded both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from pywhatsweb_fleet.session_worker.engines.sidecar.frames import (
    FrameDecoder,
    FrameEncoder,
    FrameError,
    UnknownFrame,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import Received, Sent

HIGH_WATER = 1024 * 1024
"""Bytes waiting for the sidecar above which `turn` makes senders wait."""
EARLY_WRITE = 64 * 1024
"""A batch so large is written before the turn of the loop ends."""

OnFrame = Callable[["Channel", Received | UnknownFrame, int], None]


class Channel(asyncio.Protocol):
    """``on_frame`` is called for each frame with its size in bytes, ``on_lost`` once, with the framing error if any."""

    def __init__(self, on_frame: OnFrame, on_lost: Callable[[Channel, str], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._encoder = FrameEncoder()
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_asked = False
        self._full = False
        self._line: deque[asyncio.Future[None]] = deque()
        self._reading = True
        self.last_frame_at = 0.0
        """On the loop's clock, in seconds."""

    # -- writing ----------------------------------------------------------------------------------

    def put(self, frame: Sent) -> None:
        """Writes it by the end of this turn of the loop; nothing when the connection is gone.

        Raises FrameTooLarge and Unsendable; then nothing was written.
        """
        if self._transport is None or self._loop is None:
            return
        self._encoder.add(frame)
        if len(self._encoder) >= EARLY_WRITE:
            self._flush()
        elif not self._flush_asked:
            self._flush_asked = True
            self._loop.call_soon(self._flush)

    @property
    def congested(self) -> bool:
        return self._full or bool(self._line)

    async def turn(self) -> None:
        """Waits until the sidecar reads again, first come first served. Returns too when the connection ends."""
        if not self.congested or self._loop is None or self._transport is None:
            return
        place: asyncio.Future[None] = self._loop.create_future()
        self._line.append(place)
        try:
            await place
        finally:
            # It stood in line until now, so nobody overtook it; it puts its frame before the next is called.
            self._line.remove(place)
            self._loop.call_soon(self._next_in_line)

    def _next_in_line(self) -> None:
        if self._line and not self._full and not self._line[0].done():
            self._line[0].set_result(None)

    def _flush(self) -> None:
        self._flush_asked = False
        if self._transport is not None and len(self._encoder):
            self._transport.write(self._encoder.take())

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._next_in_line()

    # -- reading ----------------------------------------------------------------------------------

    @property
    def reading(self) -> bool:
        return self._reading

    def read(self, *, on: bool) -> None:
        """Stops or goes on reading: the sidecar feels it as back-pressure."""
        if self._transport is None or on is self._reading:
            return
        self._reading = on
        if on:
            self.last_frame_at = asyncio.get_running_loop().time()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: uvloop's transports are streams without being asyncio.Transport.
        self._transport = stream = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self.last_frame_at = self._loop.time()
        stream.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self._loop is not None:
            self.last_frame_at = self._loop.time()
        try:
            for frame, size in self._decoder.feed(data):
                self._on_frame(self, frame, size)
        except FrameError as error:
            self._lose(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose("" if exc is None else type(exc).__name__)

    def _lose(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        self._full = False
        for place in self._line:
            if not place.done():
                place.set_result(None)
        self._on_lost(self, why)

    def close(self) -> None:
        """Writes what is gathered and ends the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
