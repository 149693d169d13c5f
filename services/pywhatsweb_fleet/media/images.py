"""Images decoded, checked and made smaller, in a process of their own (`image_child`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
from typing import Any, Final

import msgspec

from pywhatsweb.errors import ErrorCode, MediaError

_DEADLINE_S: Final = 30.0
_SERVED: Final = 200
"""Then the process is replaced: decoders leak, and its memory is given back."""
_IDLE_S: Final = 60.0
SIDE: Final = 1600
"""Pixels of the longer side of an image made smaller, as WhatsApp's own phones send it."""

PORTRAIT: Final = 640
"""Pixels of a side of a profile's picture."""


class Picture(msgspec.Struct, frozen=True):
    width: int
    height: int
    thumbnail: bytes
    """JPEG, at most 72 by 72."""


class Shrunk(msgspec.Struct, frozen=True):
    data: bytes
    mime_type: str
    width: int
    height: int


class Images:
    """One child, started when it is first needed and ended when it is not; one image at a time."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._served = 0
        self._idle: asyncio.TimerHandle | None = None

    async def look(self, data: bytes, *, pixels: int) -> Picture:
        """Raises MediaError: E_MEDIA_CORRUPT (cut off, too), E_MEDIA_BOMB above so many ``pixels``."""
        told, thumbnail = await self._ask({"act": "look", "pixels": pixels}, data)
        return Picture(told["width"], told["height"], thumbnail)

    async def shrink(self, data: bytes, *, pixels: int, most: int) -> Shrunk:
        """A JPEG, or a PNG, that WhatsApp takes, of at most ``most`` bytes. Raises MediaError."""
        asked = {"act": "shrink", "pixels": pixels, "side": SIDE, "most": most}
        told, made = await self._ask(asked, data)
        return Shrunk(made, told["mime_type"], told["width"], told["height"])

    async def square(self, data: bytes, *, pixels: int) -> bytes:
        """The middle of an image as WhatsApp shows it of people and groups: a JPEG. Raises MediaError."""
        _, made = await self._ask({"act": "square", "pixels": pixels, "side": PORTRAIT}, data)
        return made

    async def _ask(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    told, made = await self._exchange(asked, data)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                # It hung, or died of what it was given.
                await self.close()
                raise MediaError(ErrorCode.E_MEDIA_CORRUPT) from None
            except BaseException:
                await self.close()  # it may be in the middle of an answer
                raise
            self._served += 1
            if self._served >= _SERVED:
                await self.close()
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(_IDLE_S, lambda: loop.create_task(self._rest()))
        if "error" in told:
            raise MediaError(ErrorCode[told["error"]])
        return told, made

    async def _exchange(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pywhatsweb_fleet.media.image_child",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            self._served = 0
        assert self._child.stdin is not None and self._child.stdout is not None  # noqa: S101, PT018 - both are pipes
        for part in (json.dumps(asked).encode(), data):
            self._child.stdin.write(struct.pack(">I", len(part)))
            self._child.stdin.write(part)
        await self._child.stdin.drain()
        told = await _frame(self._child.stdout)
        return json.loads(told), await _frame(self._child.stdout)

    async def _rest(self) -> None:
        async with self._turn:
            await self.close()

    async def close(self) -> None:
        """Ends the child; the next image starts another."""
        child, self._child = self._child, None
        if self._idle is not None:
            self._idle.cancel()
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _frame(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(struct.unpack(">I", await stream.readexactly(4))[0])
