"""Many small writes, one commit: what arrives while a commit runs shares the next one.

A commit costs a flush to disk, whatever is in it. Hot paths submit their writes here and wait for their own result;
each costs about as much as its statements, and waits for one commit (the one under way, then its own). When more waits
than a commit takes, it takes of every tenant in turn: one that floods makes its own writes wait, nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb_fleet.storage.faults import Cause, StorageUnavailable, cause_of
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.turns import Turns

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Write(NamedTuple):
    many: bool
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: asyncio.Future[Any]
    weight: int


class GroupCommit:
    """Made by `group_commit`."""

    def __init__(self, store: Store, *, most: int, waiting: int) -> None:
        self._store = store
        self._most = most
        self._room = Turns(waiting)
        self._lines: dict[str, deque[_Write]] = {}
        """What waits, by tenant; the first of the dictionary is next."""
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def submit(
        self, tenant: str, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """``fn(conn, …)`` for a tenant in a transaction shared with others; its result once that is committed.

        Raises what ``fn`` raises (the others of the transaction are not touched by it) or StorageUnavailable. ``fn``
        may run several times. A caller that is cancelled has perhaps written all the same.
        """
        value: R = await self._put(tenant, _Write(False, fn, args, kwargs, self._loop.create_future(), 1))
        return value

    async def submit_to(
        self,
        tenant: str,
        fn: Callable[[Connection, Sequence[T]], Sequence[R | Exception]],
        item: T,
        *,
        weight: int = 1,
    ) -> R:
        """``item`` among those that ``fn(conn, items)`` gets at once; the result or exception of the same place.

        A tenant's items of one ``fn`` are in the order of the calls. This is the cheap way: one statement for many
        items. ``weight``: the number of writes that the item counts as.
        """
        value: R = await self._put(tenant, _Write(True, fn, (item,), {}, self._loop.create_future(), weight))
        return value

    async def _put(self, tenant: str, write: _Write) -> Any:
        await self._room.take(tenant)
        try:
            if self._closed:
                raise StorageUnavailable("the store is closing")
            self._lines.setdefault(tenant, deque()).append(write)
            self._arrived.set()
            return await write.future
        finally:
            self._room.give_back()

    async def run(self) -> None:
        """Commits what arrives, until cancelled; what still waits then is refused."""
        try:
            while True:
                if not self._lines:
                    self._arrived.clear()
                    await self._arrived.wait()
                if batch := self._next():
                    await self._commit(batch)
        finally:
            self._closed = True
            for line in self._lines.values():
                _refuse(line, StorageUnavailable("the store is closing"))

    def _next(self) -> list[_Write]:
        """The first of every tenant, then the second …, up to the weight of a commit.

        Those that nobody waits for any more are left out.
        """
        batch, weight = [], 0
        while self._lines and weight < self._most:
            tenant = next(iter(self._lines))
            line = self._lines.pop(tenant)
            write = line.popleft()
            if line:
                self._lines[tenant] = line  # behind the others
            if not write.future.done():
                batch.append(write)
                weight += write.weight
        return batch

    async def _commit(self, batch: list[_Write]) -> None:
        try:
            results = await self._together_or_apart(batch)
        except asyncio.CancelledError:
            _refuse(batch, StorageUnavailable("the store is closing"))
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, not to the committer
            _refuse(batch, error)
            return
        for write, result in zip(batch, results, strict=True):
            if write.future.done():
                continue
            if isinstance(result, Exception):
                write.future.set_exception(result)
            else:
                write.future.set_result(result)

    async def _together_or_apart(self, batch: list[_Write]) -> list[Any]:
        try:
            return await self._store.transact(_together, batch)
        except StorageUnavailable:
            raise
        except Exception:  # noqa: BLE001 - whose it is shows when they run apart
            return await self._store.transact(_apart, batch)


def _refuse(writes: Iterable[_Write], error: Exception) -> None:
    for write in writes:
        if not write.future.done():
            write.future.set_exception(error)


def _together(conn: Connection, batch: Sequence[_Write]) -> list[Any]:
    results: list[Any] = [None] * len(batch)
    bulk: dict[Callable[..., Any], list[int]] = {}
    for place, write in enumerate(batch):
        if write.many:
            bulk.setdefault(write.fn, []).append(place)
        else:
            results[place] = write.fn(conn, *write.args, **write.kwargs)
    for fn, places in bulk.items():
        for place, result in zip(places, fn(conn, [batch[place].args[0] for place in places]), strict=True):
            results[place] = result
    return results


def _apart(conn: Connection, batch: Sequence[_Write]) -> list[Any]:
    """The same one by one, each under a savepoint: somebody in the batch raised."""
    results: list[Any] = []
    for write in batch:
        try:
            with conn.begin_nested():
                if write.many:
                    (result,) = write.fn(conn, [write.args[0]])
                else:
                    result = write.fn(conn, *write.args, **write.kwargs)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and cause_of(error) is not Cause.STATEMENT:
                raise
            result = error
        results.append(result)
    return results


@contextlib.asynccontextmanager
async def group_commit(store: Store, *, most: int = 512, waiting: int = 8192) -> AsyncIterator[GroupCommit]:
    """A `GroupCommit` for as long as the block lasts: at most ``most`` writes a commit, ``waiting`` in line."""
    group = GroupCommit(store, most=most, waiting=waiting)
    committer = asyncio.create_task(group.run(), name="group-commit")
    try:
        yield group
    finally:
        committer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await committer
