"""Where a campaign stands, on this machine: a file that only grows, a JSON line for what was begun and what it came to.

It names no person: rows by their numbers. A line that a crash cut off is left out. It spares work; that nobody is
written to twice rests on the commands' ids, which the fleet remembers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from pywhatsweb.client.bulk_results import RowResult
from pywhatsweb.errors import ContractError, ErrorCode


class Line(msgspec.Struct, omit_defaults=True):
    """One of the fields is set. ``begun``: row and time (milliseconds since 1970)."""

    campaign: str | None = None
    begun: tuple[int, int] | None = None
    result: RowResult | None = None
    cancelled: bool = False


_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder(Line).decode


class Journal:
    """Made by `opened`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.begun: dict[int, int] = {}
        self.results: dict[int, RowResult] = {}
        self.cancelled: bool = False
        self.fresh: bool = True

    def load(self, digest: str) -> None:
        """Raises ContractError(E_DUPLICATE_ID) when the file is of another campaign, or of other rows."""
        self._file.seek(0)
        good = 0
        for raw in self._file:
            try:
                line = _from_json(raw)
            except msgspec.MsgspecError:
                break
            if not raw.endswith(b"\n"):
                break
            if line.campaign is not None and line.campaign != digest:
                reason = "the campaign was begun with another file, template, session or basis"
                raise ContractError(ErrorCode.E_DUPLICATE_ID, {"reason": reason})
            self.fresh = False
            self._take(line)
            good += len(raw)
        self._file.truncate(good)
        self._file.seek(good)
        if self.fresh:
            self._write(Line(campaign=digest))

    def _take(self, line: Line) -> None:
        if line.begun is not None:
            self.begun[line.begun[0]] = line.begun[1]
        if line.result is not None:
            self.results[line.result.row] = line.result
        self.cancelled = self.cancelled or line.cancelled

    def begin(self, row: int, at_ms: int) -> None:
        self._write(Line(begun=(row, at_ms)))

    def end(self, result: RowResult) -> None:
        self._write(Line(result=result))

    def look_again(self) -> None:
        """Rows that could not be sent may be by now: a consent was recorded, say."""
        for row in [row for row, found in self.results.items() if found.status == "invalid"]:
            del self.results[row]

    def cancel(self) -> None:
        self._write(Line(cancelled=True))
        self.sync()

    def _write(self, line: Line) -> None:
        self._take(line)
        self._file.write(_to_json(line) + b"\n")
        self._file.flush()

    def sync(self) -> None:
        """Onto the disk."""
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def opened(path: Path, digest: str) -> Iterator[Journal]:
    """The campaign's journal, made if it is new, and nobody else's meanwhile.

    Raises ContractError: E_DUPLICATE_ID, or E_CONFLICT when another process works on it; OSError.
    """
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ContractError(
                ErrorCode.E_CONFLICT, {"reason": "another process works on this campaign"}
            ) from None
        journal = Journal(file)
        journal.load(digest)
        try:
            yield journal
        finally:
            journal.sync()
