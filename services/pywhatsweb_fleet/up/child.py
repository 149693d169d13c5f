"""One process that is kept alive: started, waited for, started again when it ends, stopped within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 10.0
STEADY_AFTER_S = 30.0
"""A process that lived so long counts as sound: the next pause is the first one again."""
WRONG_SETTINGS = 2
"""Exit code of a service whose settings do not fit (`lifecycle.fail`): to start it again would not help."""

TRIES = 6
"""One that ended so often without having been ready once will not be."""

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]
IsReady = Callable[[asyncio.subprocess.Process], Awaitable[None]]


class Child:
    """``start`` makes the process; ``is_ready`` returns when it works, or raises when it cannot."""

    def __init__(
        self, name: str, start: Start, is_ready: IsReady, changed: Callable[[], None], *, stop_bound_s: float
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.hopeless = asyncio.Event()
        """Set when it never worked and there is no reason to think that it will."""
        self.restarts = 0
        self._start = start
        self._is_ready = is_ready
        self._changed = changed
        self._stop_bound_s = stop_bound_s
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def begin(self) -> None:
        """Starts it, and keeps it alive until `stop`."""
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code = await self._live_once()
            except Exception as error:  # noqa: BLE001 - whatever it is, the fleet goes on and tries again
                code = None
                log.error("could not be started", process=self.name, error=_words(error))  # noqa: TRY400
            self._changed()
            if self._stopping.is_set():
                return
            if not self._was_ready and (code == WRONG_SETTINGS or self.restarts + 1 >= TRIES):
                self.hopeless.set()
            if time.monotonic() - began >= STEADY_AFTER_S:
                pause = FIRST_PAUSE_S
            log.warning("ended; it is started again", process=self.name, exit_status=code, pause_s=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LAST_PAUSE_S)
            self.restarts += 1

    async def _live_once(self) -> int:
        process = await self._start()
        self._process = process
        if self._stopping.is_set():  # asked to stop while it was being made
            self._signal(signal.SIGTERM)
        self._changed()
        watch = asyncio.create_task(self._watch(process))
        try:
            return await process.wait()
        finally:
            watch.cancel()
            self.ready.clear()
            _end_group(process.pid)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        try:
            await self._is_ready(process)
        except Exception as error:  # noqa: BLE001 - it ends by itself, or stays not ready
            log.error("is not ready", process=self.name, error=_words(error))  # noqa: TRY400
        else:
            self._was_ready = True
            self.ready.set()

    async def stop(self) -> None:
        """Asks it to end, and ends it by force when it takes longer than its bound."""
        self._stopping.set()
        if self._task is None:
            return
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait((self._task,), timeout=self._stop_bound_s)
        if late:
            log.warning("did not stop in time and was killed", process=self.name, seconds=self._stop_bound_s)
            self.kill()
            await self._task

    def kill(self) -> None:
        """Ends it at once, with what it started."""
        self._stopping.set()
        if self.pid is not None:
            _end_group(self.pid)
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _words(error: Exception) -> str:
    """For the log instead of a traceback: these errors are about the process, not about our code."""
    return f"{type(error).__name__}: {error}"


def _end_group(leader: int) -> None:
    """Ends what a process left in its group (each child leads one): a worker's sidecars, a sidecar's browser."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
