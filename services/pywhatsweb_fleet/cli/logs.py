"""``pww logs``: what the services of a `pww up` here have told, in the order of their times."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_POLL_S: Final = 0.2
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_APART: Final = frozenset(("timestamp", "level", "service", "event", "logger", "exception"))


def logs(
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    session: str | None = None,
    tenant: str | None = None,
    level: Level = "info",
    service: str | None = None,
    lines: Annotated[int, Parameter(name=("--lines", "-n"))] = 100,
    data_dir: Path | None = None,
    form: Answer = "human",
) -> int:
    """Show what the services of a `pww up` here have logged. Numbers, texts and secrets are never in a log.

    Parameters
    ----------
    follow
        Go on with what comes, until Ctrl-C.
    session
        Only lines about this session.
    tenant
        Only lines about this tenant.
    level
        Only lines of this level and above; what was not logged (PWW_LOG_LEVEL) is not there.
    service
        Only this service's: dispatcher, session_worker, persistence, …
    lines
        How many of the last ones.
    data_dir
        The data directory of that `pww up`.
    """
    from pywhatsweb_fleet.up import places

    directory = (data_dir or places.default_data_dir(os.environ)).absolute() / "logs"
    if not directory.is_dir():
        raise exits.CommandError(
            f"there are no logs in {directory}.",
            exit_code=exits.UNREACHABLE,
            action="A fleet in containers logs to their output: docker compose logs, kubectl logs.",
        )
    wanted = _Wanted(session, tenant, _LEVELS.index(level))
    tails = _Tails(directory, service)
    last = deque((line for line in _in_order(tails.new()) if wanted(line)), maxlen=max(0, lines))
    for line in last:
        _tell(line, form)
    while follow:
        time.sleep(_POLL_S)
        for line in _in_order(tails.new()):
            if wanted(line):
                _tell(line, form)
    return exits.OK


class _Wanted:
    def __init__(self, session: str | None, tenant: str | None, least: int) -> None:
        self._fields = {"session": session, "tenant": tenant}
        self._least = least

    def __call__(self, line: dict[str, Any]) -> bool:
        level = line.get("level")
        return (_LEVELS.index(level) if level in _LEVELS else 1) >= self._least and all(
            wish is None or line.get(name) == wish for name, wish in self._fields.items()
        )


class _Tails:
    """The files of a directory, read on from where they were; one that was begun anew is read from its begin."""

    def __init__(self, directory: Path, service: str | None) -> None:
        self._directory = directory
        self._pattern = f"{service or '*'}-*.jsonl"
        self._places: dict[Path, tuple[int, int]] = {}
        """Inode, and how far it was read."""

    def new(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self._directory.glob(self._pattern)):
            before = path.with_name(path.name + ".1")
            inode, place = self._places.get(path, (0, 0))
            now = _inode(path)
            if now != inode:  # begun anew: the rest of the one before comes first
                yield from self._read(before, place if _inode(before) == inode else 0)
                place = 0
            read = yield from self._read(path, place)
            self._places[path] = (now, read)

    def _read(self, path: Path, place: int) -> Generator[dict[str, Any], None, int]:
        """Whole lines from ``place`` on; gives where they end."""
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(place)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # the rest is being written
                place += len(raw)
                if (found := _decoded(raw)) is not None:
                    yield found
        return place


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _decoded(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _in_order(lines: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))


def _tell(line: dict[str, Any], form: Answer) -> None:
    if form == "json":
        show.json_line(line)
        return
    level = str(line.get("level", ""))
    more = " ".join(f"{name}={value}" for name, value in line.items() if name not in _APART)
    text = f"{str(line.get('timestamp', ''))[11:23]} {level:<7} {line.get('service', ''):<14} {line.get('event', '')}"
    colour = _COLOURS.get(level)
    head = f"{colour}{text}\x1b[0m" if colour and show.coloured() else text
    print(f"{head}  {show.dim(more)}" if more else head, flush=True)
    if exception := line.get("exception"):
        print(exception, flush=True)
