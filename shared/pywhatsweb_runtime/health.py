"""Liveness, readiness and metrics over HTTP, from a thread of its own: a wedged event loop cannot answer for itself.

``/livez``: the event loop turned in the last 10 s (never depends on a neighbour). ``/readyz`` and ``/health``: the
checks that the service registered. ``/metrics``: Prometheus text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import generate_latest

from pywhatsweb.contracts.events import timestamp
from pywhatsweb.version import __version__
from pywhatsweb_runtime.metrics import Metrics, set_all

STALE_AFTER_S = 10.0
_TICK_S = 0.5
_CHECK_EVERY_S = 5.0
_LAGS = 30
"""Ticks whose worst lag is told: longer than the time between two scrapes, or a stall between them would not show."""


class Health:
    """What a service says of itself. ``checks``: name → function that gives None, or a sentence on what is wrong."""

    def __init__(self, service: str, metrics: Metrics) -> None:
        self.service = service
        self.metrics = metrics
        self.checks: dict[str, Callable[[], str | None]] = {}
        self.details: dict[str, Callable[[], Any]] = {}
        self.port: int | None = None
        """That it is served on; None: it is not."""
        self._began = self._beat = time.monotonic()
        self._lags: deque[float] = deque((0.0,), maxlen=_LAGS)
        self._checked: set[tuple[str]] = set()
        metrics.loop_lag.set_function(self._lag)

    def alive(self) -> bool:
        return time.monotonic() - self._beat < STALE_AFTER_S

    def report(self) -> dict[str, Any]:
        """`uptime` in milliseconds."""
        problems = {name: problem for name, check in self.checks.items() if (problem := check()) is not None}
        return {
            "service": self.service,
            "version": __version__,
            "status": "ok" if not problems else "degraded",
            "timestamp": timestamp(),
            "uptime": int((time.monotonic() - self._began) * 1000),
            "problems": problems,
            **{name: detail() for name, detail in self.details.items()},
        }

    async def beat(self) -> None:
        """Runs for ever beside the service."""
        check_at = 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK_S)
            self._beat = time.monotonic()
            self._lags.append(max(0.0, self._beat - before - _TICK_S))
            if self._beat >= check_at:
                check_at = self._beat + _CHECK_EVERY_S
                failed = {(name,): float(check() is not None) for name, check in self.checks.items()}
                set_all(self.metrics.check_failed, failed, self._checked)

    def _lag(self) -> float:
        """Seconds; asked by another thread, so a loop that is stuck shows."""
        return max(*tuple(self._lags), time.monotonic() - self._beat - _TICK_S)


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/livez":
                self._json(200 if health.alive() else 503, {"alive": health.alive()})
            elif path in ("/readyz", "/health"):
                report = health.report()
                self._json(200 if report["status"] == "ok" or path == "/health" else 503, report)
            elif path == "/metrics":
                self._send(
                    200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(health.metrics.registry)
                )
            else:
                self._json(404, {"error": "this port serves /livez, /readyz, /health and /metrics"})

        def _json(self, status: int, body: dict[str, Any]) -> None:
            self._send(status, "application/json", json.dumps(body).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """A probe every few seconds is not news."""

    return Handler


@contextlib.asynccontextmanager
async def serving(
    health: Health, *, host: str = "127.0.0.1", port: int | None = None
) -> AsyncIterator[int | None]:
    """Serves while the block lasts, on ``port`` (0: a free one, which is given; None: nothing is served)."""
    beat = asyncio.create_task(health.beat())
    server = None
    try:
        if port is not None:
            server = ThreadingHTTPServer((host, port), _handler(health))
            server.daemon_threads = True
            health.port = server.server_address[1]
            threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
        yield health.port
    finally:
        beat.cancel()
        if server is not None:
            server.shutdown()
            server.server_close()
