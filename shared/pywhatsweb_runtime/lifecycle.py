"""The life of a service's process: run until SIGTERM or SIGINT, then stop in order, within a bound.

SIGUSR1 makes it tell everything in its log, SIGUSR2 what it told at its start.

A service's ``app.run(settings, stopping)`` enters its resources as context managers, starts its tasks, waits for
``stopping``, and leaves in reverse order: stop taking, finish what is in flight, hand over, close.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from pywhatsweb_runtime import logs

log = structlog.get_logger(__name__)

_SWITCH_S = 0.0005
_COLLECT_AFTER = (10_000, 20, 20)
"""A worker with 10,000 sessions makes new objects all the time, few of them cyclic garbage: with Python's own
thresholds (700, 10, 10) two fifths of its time went into looking for it, the event loop at rest meanwhile."""
_ASK_AGAIN_S = 0.5
STOP_BOUND_S = 25.0
"""Kubernetes grants 30 s by default; what is not done by then is done by whoever takes over."""


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Runs ``main(stopping)``; the process's exit code: 0 stopped, 1 failed."""
    # A thread that comes back from the database waits this long at most for the event loop to let it on (5 ms else).
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what was imported stays
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_supervise(main))
    return uvloop.run(_supervise(main))


async def _supervise(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, logs.change_level, "debug")
    loop.add_signal_handler(signal.SIGUSR2, logs.change_level, logs.level())
    work = asyncio.create_task(main(stopping))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    done, _ = await asyncio.wait((work,), timeout=STOP_BOUND_S)
    if not done:
        log.error("did not stop in time; leaving the rest to whoever takes over", seconds=STOP_BOUND_S)
        return 1
    if (error := work.exception()) is not None:
        log.error("the service failed", error=f"{type(error).__name__}: {error}", exc_info=error)
        return 1
    return 0


async def until(stopping: asyncio.Event, *tasks: Awaitable[Any]) -> None:
    """Waits for ``stopping``; a background task that ends by an error ends the service with that error."""
    stop = asyncio.ensure_future(stopping.wait())
    work = [asyncio.ensure_future(task) for task in tasks]
    try:
        done, _ = await asyncio.wait((stop, *work), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not stop:
                task.result()
                if not stopping.is_set():
                    raise RuntimeError("a background task of the service ended by itself")
    finally:
        await end(stop, *work)


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks, until they are done; what they raise is nobody's business any more.

    Once is not enough on Python 3.11: a task in `asyncio.wait_for` (nats-py's requests) whose answer comes at that very
    moment goes on.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def fail(sentence: str) -> int:
    """Says on standard error, in one sentence, why the process cannot start; exit code 2."""
    sys.stderr.write(sentence + "\n")
    return 2
