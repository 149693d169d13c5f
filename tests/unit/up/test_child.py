"""A process that is kept alive."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import psutil
import pytest

from pywhatsweb_fleet.up import child as child_module
from pywhatsweb_fleet.up.child import TRIES, Child
from tests.support import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(child_module, "LAST_PAUSE_S", 0.02)


def python(program: str) -> Callable[[], asyncio.Future[asyncio.subprocess.Process]]:
    def start() -> asyncio.Future[asyncio.subprocess.Process]:
        return asyncio.ensure_future(
            asyncio.create_subprocess_exec(sys.executable, "-S", "-c", program, start_new_session=True)
        )

    return start


async def at_once(process: asyncio.subprocess.Process) -> None:
    """It needs no time to be ready."""


def child(program: str, changes: list[int | None], *, bound_s: float = 5.0) -> Child:
    made: list[Child] = []
    made.append(
        Child("it", python(program), at_once, lambda: changes.append(made[0].pid), stop_bound_s=bound_s)
    )
    return made[0]


SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


async def test_one_that_is_killed_comes_back() -> None:
    """With another process id, of which every change is told."""
    changes: list[int | None] = []
    it = child(SLEEP, changes)
    it.begin()
    await asyncio.wait_for(it.ready.wait(), 5)
    first = it.pid
    assert first is not None
    psutil.Process(first).send_signal(signal.SIGKILL)
    await wait_until(lambda: it.pid not in (None, first))
    assert {first, None, it.pid} <= set(changes)
    assert it.restarts == 1
    await it.stop()
    assert it.pid is None


async def test_one_that_does_not_stop_is_killed_with_what_it_started() -> None:
    """After its bound, and its children with it."""
    grandchild = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}]); {STUBBORN}"
    )
    it = child(grandchild, [], bound_s=0.3)
    it.begin()
    await wait_until(lambda: it.pid is not None and len(psutil.Process(it.pid).children()) == 1)
    assert it.pid is not None
    (below,) = psutil.Process(it.pid).children()
    await it.stop()
    assert it.pid is None
    await wait_until(lambda: not below.is_running() or below.status() == psutil.STATUS_ZOMBIE)


async def test_wrong_settings_are_hopeless() -> None:
    """Exit code 2 before it was ever ready: no other try would end differently."""
    it = child("import sys; sys.exit(2)", [])
    it._is_ready = lambda _: asyncio.Event().wait()  # type: ignore[assignment, return-value]
    it.begin()
    await asyncio.wait_for(it.hopeless.wait(), 5)
    await it.stop()


async def test_one_that_never_works_is_hopeless_after_some_tries() -> None:
    """A crash at every start is told in seconds, not at the end of the start's bound."""
    it = child("import sys; sys.exit(1)", [])
    it._is_ready = lambda _: asyncio.Event().wait()  # type: ignore[assignment, return-value]
    it.begin()
    await asyncio.wait_for(it.hopeless.wait(), 10)
    assert it.restarts == TRIES - 1
    await it.stop()


async def test_stopping_while_it_waits_to_start_again_does_not_wait() -> None:
    """The pause is cut short."""
    child_module.FIRST_PAUSE_S = 30.0
    it = child("pass", [])
    it.begin()
    await wait_until(lambda: it._process is not None and it._process.returncode is not None)
    await asyncio.wait_for(it.stop(), 5)
