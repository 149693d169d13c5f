"""Sound made into what WhatsApp plays as a voice message, by ffmpeg; and its waveform.

Files come from strangers: the demultiplexer is named (never guessed, so no playlist is opened), only descriptors may be
read, and time and output are bounded. Temporary files have no name, so nothing lingers after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import AsyncIterable
from typing import IO, Final

from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media.kinds import bare

_DEADLINE_S: Final = 120.0
_BARS: Final = 64
"""Of a waveform, each 0 to 100, as WhatsApp shows it."""
_RATE: Final = 8000
_PIECE: Final = 256 * 1024
_DEMUXERS: Final = {
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mpeg": "mp3",
    "audio/mp4": "mov",
    "video/mp4": "mov",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/flac": "flac",
}


def converter(setting: str | None) -> str | None:
    """The path of ffmpeg: as set, or on the PATH."""
    return setting or shutil.which("ffmpeg")


class Sounds:
    """``ffmpeg`` None: there is none, and what needs it raises E_MEDIA_CONVERTER_MISSING."""

    def __init__(self, ffmpeg: str | None) -> None:
        self._ffmpeg = ffmpeg
        self._turn = asyncio.Semaphore(2)

    @property
    def available(self) -> bool:
        return self._ffmpeg is not None

    async def to_voice(self, pieces: AsyncIterable[bytes], mime_type: str) -> IO[bytes]:
        """Opus in Ogg, mono, 48 kHz, as an open file at its beginning. Raises MediaError."""
        out = tempfile.TemporaryFile()  # noqa: SIM115 - it is the result
        try:
            with await _spooled(pieces) as source:
                await self._run(
                    source, mime_type,
                    ("-vn", "-map_metadata", "-1", "-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", "32k",
                     "-application", "voip", "-f", "ogg"),
                    out,
                )  # fmt: skip
            out.seek(0)
            return out
        except BaseException:
            out.close()
            raise

    async def waveform(self, pieces: AsyncIterable[bytes], mime_type: str) -> bytes:
        """64 bars, the loudest 100. Raises MediaError."""
        with tempfile.TemporaryFile() as out, await _spooled(pieces) as source:
            options = ("-vn", "-ac", "1", "-ar", str(_RATE), "-f", "s16le")
            await self._run(source, mime_type, options, out)
            return await asyncio.to_thread(_bars, out)

    async def _run(self, source: IO[bytes], mime_type: str, options: tuple[str, ...], out: IO[bytes]) -> None:
        if self._ffmpeg is None:
            raise MediaError(ErrorCode.E_MEDIA_CONVERTER_MISSING)
        demuxer = _DEMUXERS.get(bare(mime_type) or "")
        if demuxer is None:
            raise MediaError(ErrorCode.E_MEDIA_TYPE_UNSUPPORTED, {"found": bare(mime_type)})
        source.seek(0)
        async with self._turn:
            child = await asyncio.create_subprocess_exec(
                self._ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe,fd", "-f", demuxer,
                "-i", f"/dev/fd/{source.fileno()}", *options, "-threads", "1", "pipe:1",
                stdin=asyncio.subprocess.DEVNULL, stdout=out.fileno(), stderr=asyncio.subprocess.DEVNULL,
                pass_fds=(source.fileno(),), env={},
            )  # fmt: skip
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    code = await child.wait()
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
                if isinstance(error, TimeoutError):
                    raise MediaError(ErrorCode.E_MEDIA_CORRUPT) from None
                raise
        if code != 0 or os.fstat(out.fileno()).st_size == 0:
            raise MediaError(ErrorCode.E_MEDIA_CORRUPT)


async def _spooled(pieces: AsyncIterable[bytes]) -> IO[bytes]:
    """The pieces as a file without a name: ffmpeg wants to go back and forth in some containers."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        async for piece in pieces:
            spool.write(piece)
        spool.flush()
        return spool
    except BaseException:
        spool.close()
        raise


def _bars(pcm: IO[bytes]) -> bytes:
    """The mean loudness of 64 equal parts, scaled to the loudest."""
    total = os.fstat(pcm.fileno()).st_size // 2
    pcm.seek(0)
    means: list[float] = []
    done = 0
    for bar in range(_BARS):
        end = total * (bar + 1) // _BARS
        count, level = end - done, 0
        while done < end:
            samples = array("h", pcm.read(min(end - done, _PIECE) * 2))
            if sys.byteorder == "big":
                samples.byteswap()
            level += sum(map(abs, samples))
            done += len(samples)
        means.append(level / count if count else 0.0)
    loudest = max(means) or 1.0
    return bytes(round(100 * mean / loudest) for mean in means)
