"""Framing: ``u32 big-endian length N (1 to 16 MiB) | N bytes, one MessagePack map``, both ways."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import msgspec

from pywhatsweb_fleet.session_worker.engines.sidecar.messages import Received, Sent

MAX_FRAME = 16 * 1024 * 1024
"""Bytes of a frame's body."""
HEADER = 4

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """The peer's stream lost its framing: it cannot be trusted again, and its process must end."""


class FrameTooLarge(Exception):
    """A frame of ours is over MAX_FRAME; nothing of it was written."""


class Unsendable(Exception):
    """MessagePack, or its reader in Node, cannot carry this value; nothing of it was written."""


class UnknownFrame(msgspec.Struct, frozen=True):
    """A well-formed frame that this version does not know, or of fields that do not fit: logged and ignored."""

    type: str
    why: str


class FrameEncoder:
    """Gathers frames in one buffer, each encoded in place."""

    __slots__ = ("_buffer", "_encode_into")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._encode_into = msgspec.msgpack.Encoder(enc_hook=_plain).encode_into

    def __len__(self) -> int:
        return len(self._buffer)

    def add(self, frame: Sent) -> None:
        """Raises FrameTooLarge, or Unsendable for what MessagePack cannot carry."""
        buffer = self._buffer
        start = len(buffer)
        buffer += b"\0\0\0\0"
        try:
            self._encode_into(frame, buffer, start + HEADER)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            del buffer[start:]
            raise Unsendable(f"{type(error).__name__}: {error}"[:200]) from error
        length = len(buffer) - start - HEADER
        if length > MAX_FRAME:
            del buffer[start:]
            raise FrameTooLarge(f"{length} bytes")
        _LENGTH.pack_into(buffer, start, length)

    def take(self) -> bytearray:
        """What was gathered; the caller owns it."""
        buffer, self._buffer = self._buffer, bytearray()
        return buffer


class FrameDecoder:
    """Cuts a stream into frames. One frame larger than what arrives at once is the only thing copied."""

    __slots__ = ("_decode", "_partial")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._decode: Callable[[memoryview], Received] = msgspec.msgpack.Decoder(Received).decode

    def feed(self, data: bytes) -> Iterator[tuple[Received | UnknownFrame, int]]:
        """The frames that ``data`` completes, with their sizes in bytes. Raises FrameError.

        Must be read to its end before the next call.
        """
        partial = self._partial
        if not partial:
            rest = yield from self._cut(memoryview(data))
            partial += rest
            return
        partial += data
        if len(partial) < HEADER or len(partial) < HEADER + self._length(partial, 0):
            return
        self._partial = bytearray()
        rest = yield from self._cut(memoryview(partial))
        self._partial += rest

    def _cut(self, view: memoryview) -> Generator[tuple[Received | UnknownFrame, int], None, memoryview]:
        start, size = 0, len(view)
        while size - start >= HEADER:
            length = self._length(view, start)
            end = start + HEADER + length
            if end > size:
                break
            yield self._read(view[start + HEADER : end]), length
            start = end
        return view[start:]

    def _length(self, buffer: memoryview | bytearray, start: int) -> int:
        length: int = _LENGTH.unpack_from(buffer, start)[0]
        if not 0 < length <= MAX_FRAME:
            raise FrameError(f"a frame of {length} bytes")
        return length

    def _read(self, body: memoryview) -> Received | UnknownFrame:
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            return _unknown(body, str(error))
        except _UNREADABLE as error:
            raise FrameError("a frame that is not MessagePack") from error


def _unknown(body: memoryview, why: str) -> UnknownFrame:
    try:
        frame = msgspec.msgpack.decode(body)
    except _UNREADABLE as error:
        raise FrameError("a frame that is not MessagePack") from error
    if not isinstance(frame, dict):
        raise FrameError("a frame that is not a map")
    return UnknownFrame(str(frame.get("type"))[:40], why[:200])


def check_sendable(value: Any, depth: int = 32) -> None:
    """Raises Unsendable for maps that Node's reader refuses: one such frame would end the process of all sessions."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if type(key) is not str or key == "__proto__":
                raise Unsendable("a map key that is not a plain text")
            if type(inner) is not str:
                _check_inner(inner, depth)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_inner(inner, depth)


def _check_inner(value: Any, depth: int) -> None:
    if depth == 0:
        raise Unsendable("content nested too deeply")
    check_sendable(value, depth - 1)


def _plain(value: Any) -> Any:
    # Mappings that are not dicts (a frozen view) go as maps.
    try:
        return dict(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a {type(value).__name__} cannot be sent to the sidecar") from error
