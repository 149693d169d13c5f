"""Files read as they pass, without keeping them: whether a container is whole, and how long it plays.

Only containers whose parts announce their sizes can be judged so: MP4 (ISO/IEC 14496-12) and Ogg (RFC 3533, 7845).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Walker(Protocol):
    """Fed a file's bytes in order. ``seconds`` is known at the end, where it can be."""

    seconds: float | None

    def feed(self, piece: bytes) -> None: ...

    def whole(self) -> bool:
        """After the last piece: whether the file ended where it said it would."""


class _Boxes(ABC):
    """What both have in common: a header, then bytes to skip."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._waiting = bytearray()
        self._skip = 0
        self._broken = False

    def feed(self, piece: bytes) -> None:
        if self._broken:
            return
        if self._skip >= len(piece):
            self._skip -= len(piece)
            return
        self._waiting += memoryview(piece)[self._skip :]
        self._skip = 0
        while not self._broken:
            used = self._step(self._waiting)
            if used == 0:
                return
            if used > len(self._waiting):
                self._skip = used - len(self._waiting)
                self._waiting.clear()
                return
            del self._waiting[:used]

    @abstractmethod
    def _step(self, data: bytearray) -> int:
        """The length of the part that ``data`` begins with; 0: more is needed to tell."""


class Mp4(_Boxes):
    """Top-level boxes; inside ``moov`` only the movie header."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[bytes] = set()
        self._to_the_end = False

    def _step(self, data: bytearray) -> int:
        if len(data) < 8:
            return 0
        size, name = int.from_bytes(data[:4], "big"), bytes(data[4:8])
        header = 8
        if size == 1:
            if len(data) < 16:
                return 0
            size, header = int.from_bytes(data[8:16], "big"), 16
        elif size == 0:  # up to the end of the file
            self._to_the_end = True
            self._seen.add(name)
            return 1 << 62
        if size < header:
            self._broken = True
            return 0
        if name == b"moov":
            if len(data) < min(size, header + 40):
                return 0
            self._duration(data[header:])
        self._seen.add(name)
        return size

    def _duration(self, moov: bytearray) -> None:
        if moov[4:8] != b"mvhd":
            return
        wide = moov[8] == 1
        at, width = (28, 8) if wide else (20, 4)
        scale = int.from_bytes(moov[at : at + 4], "big")
        length = int.from_bytes(moov[at + 4 : at + 4 + width], "big")
        if scale:
            self.seconds = length / scale

    def whole(self) -> bool:
        ended = self._to_the_end or (self._skip == 0 and not self._waiting)
        return not self._broken and ended and {b"ftyp", b"moov"} <= self._seen


class Ogg(_Boxes):
    """Pages. The granule position of the last one is the length in samples: 48 kHz for Opus, its own for Vorbis."""

    def __init__(self) -> None:
        super().__init__()
        self.codec: str | None = None
        self._rate = 0
        self._preskip = 0

    def _step(self, data: bytearray) -> int:
        if len(data) < 27 or len(data) < 27 + data[26]:
            return 0
        if data[:4] != b"OggS":
            self._broken = True
            return 0
        begin = 27 + data[26]
        size = begin + sum(data[27:begin])
        if not self._rate:
            if len(data) < min(size, begin + 19):
                return 0
            self._identify(bytes(data[begin : begin + 19]))
        granule = int.from_bytes(data[6:14], "little", signed=True)
        if granule >= 0 and self._rate:
            self.seconds = max(0, granule - self._preskip) / self._rate
        return size

    def _identify(self, packet: bytes) -> None:
        if packet[:8] == b"OpusHead":
            self.codec, self._rate = "opus", 48_000
            self._preskip = int.from_bytes(packet[10:12], "little")
        elif packet[:7] == b"\x01vorbis":
            self.codec, self._rate = "vorbis", int.from_bytes(packet[12:16], "little")

    def whole(self) -> bool:
        return not self._broken and self._skip == 0 and not self._waiting
