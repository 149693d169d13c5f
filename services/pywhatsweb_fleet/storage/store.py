"""Transactions on threads: one hop to a thread a *transaction*, the same code for both databases (ADR 0004)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb_fleet.storage import connections, migrating
from pywhatsweb_fleet.storage.faults import Cause, StorageUnavailable, cause_of

P = ParamSpec("P")
R = TypeVar("R")
Dialect = Literal["sqlite", "postgresql"]

_FIRST_PAUSE_S = 0.005
_LAST_PAUSE_S = 0.25


class _TooLate(Exception):
    """The deadline passed while a thread was at it."""


class _Attempt:
    """One try of one transaction, on a thread of its lane."""

    def __init__(self, lane: _Lane, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.lane = lane
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.committing = False
        self._abandoned = threading.Event()
        self._raw: Any = None

    def run(self) -> Any:
        if self._abandoned.is_set():
            return None
        turn = self.lane.turns.one() if self.lane.turns is not None else contextlib.nullcontext()
        with turn, self.lane.engine.connect() as conn:
            self._raw = conn.connection.dbapi_connection
            if self._abandoned.is_set():  # while it waited or was connecting
                return None
            try:
                with conn.begin() as transaction:
                    value = self.fn(conn, *self.args, **self.kwargs)
                    self.committing = True
                    transaction.commit()
                return value
            finally:
                self._raw = None

    def abandon(self) -> None:
        self._abandoned.set()
        if (raw := self._raw) is not None:
            connections.break_off(raw)


class _Lane:
    """Threads with as many connections: SQLite's writers are one, since it has one write lock."""

    def __init__(
        self, engine: Engine, threads: int, name: str, turns: connections.Turns | None = None
    ) -> None:
        self.engine = engine
        self.turns = turns
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name)


class Store:
    """A database; made by `open_store`, usable from one event loop, closed by `close`."""

    def __init__(self, dialect: Dialect, write: _Lane, read: _Lane, *, deadline_s: float) -> None:
        self.dialect: Dialect = dialect
        self._write = write
        self._read = read
        self._deadline_s = deadline_s

    async def transact(
        self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """``fn(conn, …)`` in one write transaction, committed when it returns and rolled back when it raises.

        ``fn`` may run several times (another transaction was in the way), so it does nothing but its statements.
        Raises StorageUnavailable within the deadline, and whatever ``fn`` raises. If the caller is cancelled the
        transaction may commit all the same.
        """
        return await self._run(self._write, self._deadline_s, fn, args, kwargs)

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``fn(conn, …)`` in a transaction of its own that does not wait for writers; raises as `transact` does."""
        return await self._run(self._read, self._deadline_s, fn, args, kwargs)

    async def migrate(self, *, deadline_s: float = 60.0) -> None:
        """Brings the schema to the newest version; several services may do it at once, one does the work."""
        await self._run(self._write, deadline_s, migrating.upgrade, (), {})
        # SQLite reads the statistics, which the migration wrote, when it connects.
        await asyncio.to_thread(self._write.engine.dispose)

    async def close(self) -> None:
        """Waits for the transactions under way; then nothing of the store may be used."""
        lanes = {id(lane): lane for lane in (self._write, self._read)}.values()
        for lane in lanes:
            await asyncio.to_thread(lane.threads.shutdown, wait=True, cancel_futures=True)
            lane.engine.dispose()
            if lane.turns is not None:
                lane.turns.close()

    async def _try(self, lane: _Lane, attempt: _Attempt, until: float) -> Any:
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                return await asyncio.get_running_loop().run_in_executor(lane.threads, attempt.run)
        except TimeoutError:
            if limit.expired():
                raise _TooLate from None
            raise  # the function's own

    async def _run(self, lane: _Lane, deadline_s: float, fn: Callable[..., R], args: Any, kwargs: Any) -> R:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        pause = _FIRST_PAUSE_S
        reconnected = False
        while True:
            attempt = _Attempt(lane, fn, args, kwargs)
            try:
                value: R = await self._try(lane, attempt, until)
                return value
            except _TooLate:
                attempt.abandon()
                raise StorageUnavailable(f"the database did not answer within {deadline_s:g} s") from None
            except SQLAlchemyError as error:
                cause = cause_of(error)
                if cause is Cause.STATEMENT:
                    raise
                if cause is Cause.GONE and (reconnected or attempt.committing):
                    # A commit whose answer is lost may have happened: to run the function again might do it twice.
                    raise StorageUnavailable(f"the database is gone ({_kind(error)})") from None
                reconnected = reconnected or cause is Cause.GONE
                if loop.time() + pause >= until:
                    raise StorageUnavailable(f"the database stayed busy for {deadline_s:g} s") from None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LAST_PAUSE_S)


def _kind(error: SQLAlchemyError) -> str:
    """The error's class alone: its words may quote values."""
    return type(getattr(error, "orig", None) or error).__name__


def open_store(url: str, *, pool_size: int = 4, deadline_s: float = 10.0) -> Store:
    """A store on ``sqlite:///path`` or ``postgresql://user:password@host/name``; connects at the first use.

    ``pool_size``: threads and connections of PostgreSQL, and of SQLite's readers (its writers are always one).
    ``deadline_s``: after so many seconds a call raises StorageUnavailable.
    """
    parsed = connections.parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        write = connections.sqlite_engine(parsed, size=1, begin="BEGIN IMMEDIATE")
        read = connections.sqlite_engine(parsed, size=pool_size, begin="BEGIN")
        writers = _Lane(write, 1, "sql-write", connections.Turns(parsed.database or ""))
        return Store("sqlite", writers, _Lane(read, pool_size, "sql-read"), deadline_s=deadline_s)
    lane = _Lane(
        connections.postgres_engine(parsed, size=pool_size, statement_timeout_s=deadline_s), pool_size, "sql"
    )
    return Store("postgresql", lane, lane, deadline_s=deadline_s)
