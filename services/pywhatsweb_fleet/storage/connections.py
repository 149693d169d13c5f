"""Connections to either database: URLs, pragmas, time-outs, and how to break one off that hangs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from pywhatsweb_fleet.storage.faults import StorageUnavailable

SQLITE_BUSY_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 5


class UnknownDatabase(ValueError):
    """The URL names a database that is neither SQLite nor PostgreSQL."""


def parse_url(url: str) -> URL:
    """The URL with our drivers. Raises UnknownDatabase (without quoting the URL: it may hold a password)."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UnknownDatabase("the database URL does not parse") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise UnknownDatabase("SQLite needs a file: several threads share the database")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise UnknownDatabase(f"neither sqlite nor postgresql: {backend}")


def sqlite_engine(url: URL, *, size: int, begin: str) -> Engine:
    """``begin``: ``BEGIN IMMEDIATE`` for writers (a lock asked for late is not waited for), ``BEGIN`` for readers."""
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=SQLITE_BUSY_TIMEOUT_MS / 1000,
        connect_args={
            "check_same_thread": False,
            "timeout": SQLITE_BUSY_TIMEOUT_MS / 1000,
            "cached_statements": 256,
        },
    )

    @event.listens_for(engine, "connect")
    def _connected(raw: Any, _record: Any) -> None:
        # The driver's own BEGINs come too late and commit around DDL; the "begin" event below does it instead.
        raw.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}",
            "cache_size = -16384",
            "temp_store = MEMORY",
            "wal_autocheckpoint = 8000",
            "journal_size_limit = 67108864",
        ):
            raw.execute("PRAGMA " + pragma)

    @event.listens_for(engine, "begin")
    def _begin(conn: Any) -> None:
        conn.exec_driver_sql(begin)

    return engine


class Turns:
    """Processes that write to one SQLite file take turns, woken by the kernel.

    SQLite itself makes a writer who finds the file locked look again every now and then, up to 100 ms apart: beside a
    process that writes without a pause it may find the lock free after a second only (measured: 1 in 100 waited for
    750 ms, with turns for 95 ms, a few batches of 1,000 events).
    The lock file guards nothing: whoever does not use it is still kept out by SQLite's own lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path + "-turns"
        self._file: int | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Waits for this process's turn; a process that dies gives its turn up."""
        if self._file is None:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StorageUnavailable(f"no lock file beside the database ({error.strerror})") from None
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def postgres_engine(url: URL, *, size: int, statement_timeout_s: float) -> Engine:
    return create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "pywhatsweb",
            "prepare_threshold": 3,
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={int(statement_timeout_s * 1000)} -c timezone=UTC "
            # A plan kept from when a table was empty reads it whole when it is full; planning costs less than that.
            "-c plan_cache_mode=force_custom_plan "
            # Statements are short; compiling one takes longer than all of it.
            "-c jit=off "
            f"-c idle_in_transaction_session_timeout={int(statement_timeout_s * 2000)}",
        },
    )


def break_off(raw: Any) -> None:
    """Makes the call that hangs in another thread on this DBAPI connection fail soon.

    A frozen server answers neither a cancel request nor a close, so the socket is shut under libpq's feet.
    """
    with contextlib.suppress(Exception):
        if isinstance(raw, sqlite3.Connection):
            raw.interrupt()
        else:
            with socket.socket(fileno=os.dup(raw.pgconn.socket)) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)
