"""Making units durable, in their order: events into the stream, then the keys behind them into the database.

The heart of "nothing is acknowledged to WhatsApp before we have it" (PROTOCOL, durable units): with the keys first, a
crash in between would leave a message that can no longer be decrypted and was never told.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context

import structlog

from pywhatsweb_fleet.session_worker.engines.port import EventUnit, KeysUnit
from pywhatsweb_fleet.storage.faults import Fenced, StorageUnavailable
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.2
_LAST_PAUSE_S = 5.0
_MESSAGE_TOO_LARGE = 10054

TOO_LARGE = "too_large"
"""Kind of the unit that stands for one which no stream takes."""

StoreEvent = Callable[[EventUnit], Awaitable[Sequence[asyncio.Future[PubAck]]]]
StoreKeys = Callable[[Sequence[KeysUnit]], Awaitable[None]]


def _nobody_asks(_seconds: float) -> None:
    """How long units are held is not measured."""


class Units:
    """The units of one open link. A task runs only while there are some."""

    __slots__ = (
        "_committed",
        "_context",
        "_done",
        "_events",
        "_failed",
        "_held",
        "_keys",
        "_queue",
        "_since",
        "_task",
        "_waiters",
        "closed",
        "last",
    )

    def __init__(
        self,
        events: StoreEvent,
        keys: StoreKeys,
        committed: Callable[[int], None],
        failed: Callable[[Exception], None],
        held: Callable[[float], None] = _nobody_asks,
    ) -> None:
        """``held`` is told, once a round, for how many seconds its first unit waited to be durable."""
        self._events = events
        self._keys = keys
        self._committed = committed
        self._failed = failed
        self._held = held
        self._context = copy_context()
        """Units may be put from within a send, whose trace and log fields are not theirs."""
        self._since: deque[float] = deque()
        """When each of the queue was put."""
        self._queue: deque[EventUnit | KeysUnit] = deque()
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._done = 0
        self.last = 0
        self.closed = False

    def put(self, unit: EventUnit | KeysUnit) -> None:
        if self.closed:
            return
        self._queue.append(unit)
        self._since.append(time.monotonic())
        if unit.unit:
            self.last = unit.unit
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), context=self._context)

    @property
    def all_durable(self) -> bool:
        """Whether every unit put so far is."""
        return self._done >= self.last

    async def flushed(self) -> None:
        """Waits until every unit put so far is durable. Raises ConnectionError once closed."""
        if self._done >= self.last:
            return
        if self.closed:
            raise ConnectionError("the link is closed")
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((self.last, waiter))
        await waiter

    def close(self) -> None:
        """Drops what is not durable yet: WhatsApp will tell it again."""
        self.closed = True
        self._queue.clear()
        self._since.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionError("the link is closed"))
                waiter.exception()  # its waiter may be gone
        self._waiters.clear()

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._one_round()
        except Exception as error:  # noqa: BLE001 - whatever it is, the session must hear of it
            # Nothing that comes after may become durable without it: the keys behind it, above all.
            self._task = None
            self.close()
            self._failed(error)
        finally:
            self._task = None

    async def _one_round(self) -> None:
        """All events up to the next keys, together; then all keys up to the next event, in one write."""
        since = self._since[0]
        events: list[EventUnit] = []
        while self._queue and isinstance(self._queue[0], EventUnit):
            events.append(self._queue.popleft())  # type: ignore[arg-type]
        await self._store_events(events)
        keys: list[KeysUnit] = []
        while self._queue and isinstance(self._queue[0], KeysUnit):
            keys.append(self._queue.popleft())  # type: ignore[arg-type]
        if keys:
            await self._insist(lambda: self._keys(keys))
        for _ in range(len(events) + len(keys)):
            self._since.popleft()
        self._held(time.monotonic() - since)
        last = max([unit.unit for unit in events] + [unit.unit for unit in keys], default=0)
        if last > self._done:
            self._done = last
            self._committed(last)
            while self._waiters and self._waiters[0][0] <= last:
                waiter = self._waiters.pop(0)[1]
                if not waiter.done():
                    waiter.set_result(None)

    async def _store_events(self, units: list[EventUnit]) -> None:
        todo = units
        while todo:
            todo = await self._try_events(todo)
            if todo:
                log.warning("events wait for the broker", count=len(todo))
                await asyncio.sleep(1.0)

    async def _try_events(self, units: list[EventUnit]) -> list[EventUnit]:
        """Those that could not be stored yet."""
        submitted: list[tuple[EventUnit, Sequence[asyncio.Future[PubAck]]]] = []
        later: list[EventUnit] = []
        for index, unit in enumerate(units):
            try:
                submitted.append((unit, await self._events(unit)))
            except (BrokerUnavailable, ApiError) as error:
                self._check(error)
                later = units[index:]  # none of them may overtake this one
                break
        missing: list[EventUnit] = []
        for unit, futures in submitted:
            results = await asyncio.gather(*futures, return_exceptions=True)
            errors = [result for result in results if isinstance(result, BaseException)]
            if not errors:
                continue
            if unit.kind != TOO_LARGE and any(_too_large(error) for error in errors):
                missing.append(
                    EventUnit(unit.unit, TOO_LARGE, {"kind": unit.kind, "id": unit.data.get("id")})
                )
                continue
            for refused in errors:
                self._check(refused)
            missing.append(unit)
        return missing + later

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await write()
            except StorageUnavailable:
                log.warning("credential writes wait for the database")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE_S)

    def _check(self, error: BaseException) -> None:
        """Lets the caller try again for what passes; everything else ends these units (the session is told)."""
        if isinstance(error, ApiError) and error.code == WRONG_LAST_SEQUENCE:
            raise Fenced(0, 0) from error
        if not isinstance(error, (BrokerUnavailable, ApiError)):
            raise error


def _too_large(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.code == _MESSAGE_TOO_LARGE
