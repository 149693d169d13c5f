"""Things to do later, under one timer however many sessions there are."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

_Entry = tuple[float, int, Callable[..., object], tuple[Any, ...]]


class Agenda:
    """Calls in the order of their times, then of their asking. An idle agenda holds no timer."""

    __slots__ = ("_count", "_handle", "_handle_at", "_heap", "_loop", "_soon", "_soon_asked")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heap: list[_Entry] = []
        self._soon: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._soon_asked = False
        self._count = 0
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at = 0.0

    def after(self, ms: int, call: Callable[..., object], *args: Any) -> None:
        """Calls it in so many milliseconds; 0 is the next turn of the event loop."""
        loop = self._bind()
        if ms <= 0:
            self._soon.append((call, args))
            if not self._soon_asked:
                self._soon_asked = True
                loop.call_soon(self._run_soon)
            return
        self._count += 1
        heapq.heappush(self._heap, (loop.time() + ms / 1000, self._count, call, args))
        self._arm(loop)

    def _bind(self) -> asyncio.AbstractEventLoop:
        # An in-memory WhatsApp may outlive a loop (tests, a restarted worker in one process).
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._handle, self._soon_asked = loop, None, False
            self._soon.clear()
            self._heap.clear()
        return loop

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._heap[0][0]
        if self._handle is not None:
            if self._handle_at <= due:
                return
            self._handle.cancel()
        self._handle_at = due
        self._handle = loop.call_at(due, self._run_due)

    def _run_soon(self) -> None:
        self._soon_asked = False
        calls, self._soon = self._soon, []
        self._run(calls)

    def _run_due(self) -> None:
        loop = self._bind()
        self._handle = None
        # A millisecond of slack joins what falls together into one turn.
        now = loop.time() + 0.001
        calls = []
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            calls.append((entry[2], entry[3]))
        if self._heap:
            self._arm(loop)
        self._run(calls)

    def _run(self, calls: list[tuple[Callable[..., object], tuple[Any, ...]]]) -> None:
        for call, args in calls:
            try:
                call(*args)
            except Exception as error:  # noqa: BLE001 - one session's mistake must not end the others' turn
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a simulated WhatsApp's call failed", "exception": error}
                )
