"""Telling whoever started this process that it is ready: the file ``PWW_READY_FILE`` with the process's id.

A second line has the port that health and metrics are served on, if they are.

A file, so that a shell, a container's probe and `pww up` can all read it; the id tells a fresh one from one that an
earlier process left behind.
"""

from __future__ import annotations

import os
from pathlib import Path


def announce(path: str | Path | None, health_port: int | None = None) -> None:
    """Writes the marker, as a whole; does nothing without a path (nobody asked)."""
    if not path:
        return
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.write_text(f"{os.getpid()}\n" + (f"{health_port}\n" if health_port is not None else ""))
    temporary.replace(target)


def announced(path: str | Path, pid: int) -> bool:
    """Whether the process ``pid`` has announced itself there."""
    return _lines(path)[:1] == [str(pid)]


def announced_port(path: str | Path) -> int | None:
    """Where health and metrics of whoever announced itself there are served, on loopback."""
    told = _lines(path)[1:2]
    return int(told[0]) if told and told[0].isdigit() else None


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []
