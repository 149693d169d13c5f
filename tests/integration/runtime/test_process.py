"""A service's process from outside: its log's level by signals, and a loop that is stuck."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from pywhatsweb_runtime import health
from pywhatsweb_runtime.metrics import Metrics
from tests.support.waiting import block_until, wait_until

CHATTY = """
import asyncio, structlog
from pywhatsweb_runtime import lifecycle, logs

async def main(stopping):
    log = structlog.get_logger("chatty")
    while not stopping.is_set():
        log.debug("whisper")
        with logs.about({"command_id": "c1", "correlation_id": ""}):
            log.info("say")
        await asyncio.sleep(0.02)

logs.set_up("chatty", form="json", level="info")
raise SystemExit(lifecycle.run(main))
"""


def test_the_logs_level_changes_while_it_runs(tmp_path: Path) -> None:
    """SIGUSR1: everything; SIGUSR2: what it told at its start; SIGTERM ends it as ever."""
    path = tmp_path / "log"
    with path.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", CHATTY], stderr=out)

    def after(marker: str) -> list[str]:
        return path.read_text().rpartition(marker)[2].splitlines()[1:]

    try:
        block_until(lambda: path.read_text().count('"say"') > 3, 30, message="it speaks")
        assert "whisper" not in path.read_text()
        assert '"command_id": "c1"' in path.read_text()
        assert "correlation_id" not in path.read_text()
        process.send_signal(signal.SIGUSR1)
        block_until(lambda: "whisper" in path.read_text(), 30, message="it whispers")
        process.send_signal(signal.SIGUSR2)
        marker = '"least": "info"'
        block_until(lambda: marker in path.read_text(), 30, message="it was told")
        block_until(lambda: len(after(marker)) > 3, 30, message="it goes on")
        assert not [line for line in after(marker) if "whisper" in line]
    finally:
        process.terminate()
        assert process.wait(30) == 0


async def test_a_stuck_loop_fails_liveness_and_shows_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the event loop does nothing, the port says so; afterwards it is alive again."""
    monkeypatch.setattr(health, "STALE_AFTER_S", 0.6)
    watched = health.Health("test", Metrics())
    answers: list[tuple[int, float]] = []
    over = threading.Event()

    def ask(port: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while not over.is_set():
                status = client.get("/livez").status_code
                lag = client.get("/metrics").text.rpartition("pww_event_loop_lag_seconds ")[2].split("\n")[0]
                answers.append((status, float(lag)))
                time.sleep(0.02)

    async with health.serving(watched, port=0) as port:
        assert port is not None
        asking = threading.Thread(target=ask, args=(port,))
        asking.start()
        try:
            deadline = time.monotonic() + 30
            while 503 not in [status for status, _ in answers] and time.monotonic() < deadline:
                time.sleep(0.05)  # noqa: ASYNC251 - the loop is stuck
            stuck = list(answers)
            assert 503 in [status for status, _ in stuck]
            assert max(lag for _, lag in stuck) > 0
            await wait_until(lambda: answers[-1][0] == 200, 30, message="it is alive again")
        finally:
            over.set()
            await asyncio.to_thread(asking.join)
