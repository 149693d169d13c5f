"""A database into files and back: of one moment, while others write.

SQLite: its own online copy. PostgreSQL: each table by COPY, all in one repeatable-read transaction; it comes back into
a schema that migrations made. A copy is of one kind of database: it does not come back into the other.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import psycopg

from pywhatsweb_fleet.storage import migrating  # noqa: F401 - it knows every module that defines tables
from pywhatsweb_fleet.storage.connections import parse_url
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.schema import metadata

_CHUNK: Final = 256 * 1024


def kind(url: str) -> str:
    """``sqlite`` or ``postgresql``."""
    return parse_url(url).get_backend_name()


def sqlite_path(url: str) -> Path:
    return Path(parse_url(url).database or "")


def copy_sqlite(source: Path, target: Path) -> None:
    """Raises StorageUnavailable."""
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy, pages=2000, sleep=0.001)
    except sqlite3.Error as error:
        raise StorageUnavailable(f"the database cannot be copied ({type(error).__name__})") from None


@contextlib.contextmanager
def _postgres(url: str) -> Iterator[psycopg.Connection[Any]]:
    parsed = parse_url(url).set(drivername="postgresql")
    try:
        with psycopg.connect(parsed.render_as_string(hide_password=False), connect_timeout=10) as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise StorageUnavailable(f"the database cannot be reached ({type(error).__name__})") from None


@contextlib.contextmanager
def dumping(url: str) -> Iterator[Iterator[tuple[str, Iterator[bytes]]]]:
    """PostgreSQL's tables, all as they were at one moment: names, and the pieces of each. Raises StorageUnavailable."""
    with _postgres(url) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield ((table.name, _dump(conn, table.name, table.c.keys())) for table in metadata.sorted_tables)


def _dump(conn: psycopg.Connection[Any], table: str, columns: list[str]) -> Iterator[bytes]:
    # A partitioned table is copied as a query: COPY of its parent alone gives nothing.
    with (
        conn.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {', '.join(columns)} FROM {table}) TO STDOUT".encode()) as copy,
    ):
        for piece in copy:
            yield bytes(piece)


def columns_of(table: str) -> list[str]:
    return [str(name) for name in metadata.tables[table].c.keys()]  # noqa: SIM118 - not a dictionary


class Load:
    """PostgreSQL's tables coming back, in one transaction. Made by `loading`."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn

    def table(self, name: str, columns: list[str], content: IO[bytes]) -> None:
        """Raises KeyError for a table that this version does not know."""
        known = [column for column in columns if column in metadata.tables[name].c]
        if known != columns:
            raise KeyError(name)
        with (
            self._conn.cursor() as cursor,
            cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN".encode()) as copy,
        ):
            while piece := content.read(_CHUNK):
                copy.write(piece)

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """A statement with ``?`` for its values; its rows."""
        found = self._conn.execute(sql.replace("?", "%s").encode(), values)
        return list(found.fetchall()) if found.description else []


@contextlib.contextmanager
def loading(url: str) -> Iterator[Load]:
    """Committed when the block ends. Raises StorageUnavailable."""
    with _postgres(url) as conn:
        yield Load(conn)


def is_empty(url: str) -> bool:
    """Whether nothing of a fleet is in the database: no table, or no row in any."""
    if kind(url) == "sqlite":
        return not sqlite_path(url).exists()
    with _postgres(url) as conn:
        for table in metadata.sorted_tables:
            there = conn.execute("SELECT to_regclass(%s)", (table.name,)).fetchone()
            if there and there[0] and conn.execute(f"SELECT 1 FROM {table.name} LIMIT 1".encode()).fetchone():
                return False
    return True
