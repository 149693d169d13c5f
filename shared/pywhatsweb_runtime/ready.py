"""Telling whoever started this process that it is ready: the file ``PWW_READY_FILE`` with the process's id.

A file, so that a shell, a container's probe and `pww up` can all read it; the id tells a fresh one from one that an
earlier process left behind.
"""

from __future__ import annotations

import os
from pathlib import Path


def announce(path: str | Path | None) -> None:
    """Writes the marker, as a whole; does nothing without a path (nobody asked)."""
    if not path:
        return
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.write_text(f"{os.getpid()}\n")
    temporary.replace(target)


def announced(path: str | Path, pid: int) -> bool:
    """Whether the process ``pid`` has announced itself there."""
    try:
        return Path(path).read_text().strip() == str(pid)
    except OSError:
        return False
