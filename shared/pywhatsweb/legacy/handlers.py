"""Handlers, called one after another in a thread of their own; whoever feeds them waits when they are slow."""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

log: Final[logging.Logger] = logging.getLogger("pywhatsweb")

Handler = Callable[[dict[str, Any]], Any]
H = TypeVar("H", bound=Handler)

QUEUE_SIZE: Final = 256


class Handlers:
    """By event name. At most `size` events wait, and `feed` waits for room. A handler that raises is only logged."""

    def __init__(self, owner: str, names: frozenset[str], size: int = QUEUE_SIZE) -> None:
        self._owner = owner
        self._names = names
        self._by_name: dict[str, list[Handler]] = {}
        self._size = size
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._room: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.failures: int = 0

    @overload
    def on(self, event: str) -> Callable[[H], H]: ...
    @overload
    def on(self, event: str, handler: H) -> H: ...
    def on(self, event: str, handler: H | None = None) -> H | Callable[[H], H]:
        if event not in self._names:
            raise ValueError(f"there is no event {event!r}; there are {', '.join(sorted(self._names))}")
        if handler is None:
            return lambda function: self.on(event, function)
        self._by_name.setdefault(event, []).append(handler)
        return handler

    @property
    def any(self) -> bool:
        return bool(self._by_name)

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    async def feed(self, event: str, data: dict[str, Any]) -> None:
        """From the background loop only."""
        if not self._by_name.get(event):
            return
        if self._room is None:
            self._loop = asyncio.get_running_loop()
            self._room = asyncio.Semaphore(self._size)
        await self._room.acquire()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"pywhatsweb-{self._owner}", daemon=True)
            self._thread.start()
        self._queue.put((event, data))

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            event, data = item
            for handler in list(self._by_name.get(event, ())):
                self._call(handler, event, data)
            self._release()

    def _call(self, handler: Handler, event: str, data: dict[str, Any]) -> None:
        try:
            found = handler(dict(data))
            if inspect.iscoroutine(found):
                asyncio.run(found)
        except Exception:
            self.failures += 1
            log.exception("a handler of %s raised", event)

    def _release(self) -> None:
        if self._loop is not None and self._room is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._room.release)

    def stop(self, timeout: float = 5.0) -> None:
        """After what waits was handled, or the time is over."""
        thread, self._thread = self._thread, None
        self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
