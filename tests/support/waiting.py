"""Waiting for a condition instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_PATIENCE = 4
_LONG_S = 60.0


def _patient(timeout: float) -> float:
    """A machine that is busy with other tests takes several times as long; a test must fail for what is wrong alone."""
    return max(timeout, min(timeout * _PATIENCE, _LONG_S))


@overload
async def wait_until(
    predicate: Callable[[], Awaitable[T]], timeout: float = ..., *, interval: float = ..., message: str = ...
) -> T: ...
@overload
async def wait_until(
    predicate: Callable[[], T], timeout: float = ..., *, interval: float = ..., message: str = ...
) -> T: ...
async def wait_until(
    predicate: Callable[[], Any], timeout: float = 5.0, *, interval: float = 0.01, message: str = ""
) -> Any:
    """Return the predicate's first truthy value; fail the test when none comes.

    ``timeout``: seconds that this takes at most on a machine at ease; a busy one is given more. The predicate
    may be a plain function or a coroutine function. The failure shows the last value seen.
    """
    timeout = _patient(timeout)
    deadline = time.monotonic() + timeout
    while True:
        outcome = predicate()
        value = await outcome if inspect.isawaitable(outcome) else outcome
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(predicate, timeout, value, message))
        await asyncio.sleep(interval)


def block_until(
    predicate: Callable[[], T], timeout: float = 5.0, *, interval: float = 0.01, message: str = ""
) -> T:
    """Do what wait_until does where no event loop runs."""
    timeout = _patient(timeout)
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_complaint(predicate, timeout, value, message))
        time.sleep(interval)


def _complaint(predicate: Callable[[], object], timeout: float, value: object, message: str) -> str:
    what = message or getattr(predicate, "__qualname__", repr(predicate))
    return f"not within {timeout:g} s: {what} (last seen: {value!r})"
