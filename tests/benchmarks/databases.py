"""Databases to measure on: durable, as in production."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.support.postgres import running_postgres


@contextmanager
def database(kind: str, directory: Path) -> Iterator[Callable[[], str]]:
    """A function that makes databases and gives their URLs."""
    if kind == "sqlite":
        numbers = count()
        yield lambda: f"sqlite:///{directory}/record{next(numbers)}.db"
        return
    with running_postgres("shared_buffers=256MB", "max_wal_size=4GB") as server:
        yield server.new_database
