"""`pww up` as an operator starts it: the console script, a data directory of the test's own, free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import block_until

PWW = Path(sys.executable).with_name("pww")
START_S = 60.0
"""A busy machine starts five Pythons slowly; alone it takes two seconds."""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PWW_")}


class Up:
    """One data directory, and the `pww up` that runs on it."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.ready_file = directory / "ready.json"
        self._log = directory / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """Returns what the ready file says."""
        self.ready_file.unlink(missing_ok=True)  # one that was killed leaves its own behind
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    PWW, "up", "--data-dir", self.data_dir, "--ready-file", self.ready_file,
                    "--nats-port", "0", "--http-port", "0", *(arguments or ("--engine", "simulated")),
                ],
                env=environment() | environ, stdout=log, stderr=log,
            )  # fmt: skip

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            return self.ready_file.exists()

        block_until(is_ready, START_S, message="the fleet is up")
        return self.ready()

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def pids(self) -> list[int]:
        return [pid for found in self.ready()["pids"].values() for pid in found]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def pww(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Another terminal."""
        done = subprocess.run(
            [PWW, *arguments, "--data-dir", self.data_dir],
            env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.log
        return done

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


def all_gone(pids: list[int]) -> bool:
    """Whether none of them runs any more; one that nobody has collected yet has ended."""

    def gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return all(gone(pid) for pid in pids)


@pytest.fixture
def make_up(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    """Makes one that is ended with the test."""
    made: list[Up] = []

    def make() -> Up:
        made.append(Up(tmp_path))
        return made[-1]

    yield make
    for up in made:
        up.end()


@pytest.fixture
def up(make_up: Callable[[], Up]) -> Up:
    """One on the test's own data directory, not started yet."""
    return make_up()
