"""A bar for what takes long: on standard error, and only for eyes, so that output stays what it is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Move = Callable[[float], None]
"""To a share of the whole, 0 to 1."""


@contextlib.contextmanager
def progress(words: str) -> Iterator[Move]:
    """A bar with the time that it takes; it moves to and fro until a share is known. Gone at the block's end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(words, total=None)

        def move(share: float) -> None:
            shown.update(task, total=1.0, completed=min(max(share, 0.0), 1.0))

        yield move
