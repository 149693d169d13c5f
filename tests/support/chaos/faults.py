"""What goes wrong: processes killed and frozen, services stopped, links cut; when and which is the seed's choice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from typing import Any

import httpx

from tests.support.running import Fleet

KILLED = ("session_worker", "sidecar", "dispatcher", "persistence", "nats-server", "sandbox")
FROZEN = ("session_worker", "sidecar", "dispatcher", "persistence", "nats-server")
STOPPED = ("session_worker", "dispatcher", "persistence")
LINKS: tuple[dict[str, Any], ...] = (
    {"kind": "close"},
    {"kind": "stream_error", "code": 503},
    {"kind": "freeze", "seconds": 3},
    {"kind": "ack_lost_close", "count": 3},
    {"kind": "ack_delay", "count": 10, "delay_ms": 1500},
    {"kind": "duplicate_delivery", "count": 20},
    {"kind": "late_receipts", "seconds": 4, "delay_ms": 2000},
    {"kind": "slow", "seconds": 3, "delay_ms": 200},
    {"kind": "refuse_connect", "seconds": 3},
)


class Chaos:
    """Strikes until its time is over; ``log`` tells each blow with its moment."""

    def __init__(self, fleet: Fleet, seed: int, *, kinds: tuple[str, ...] | None = None) -> None:
        self.fleet = fleet
        self.random = random.Random(seed)
        self.log: list[str] = []
        self._began = time.monotonic()
        self._frozen: set[int] = set()
        sandboxed = fleet.ready.get("sandbox_url") is not None
        choices = [("kill", kind) for kind in KILLED] + [("freeze", kind) for kind in FROZEN]
        choices += [("stop", kind) for kind in STOPPED]
        if sandboxed:
            choices += [("link", fault["kind"]) for fault in LINKS]
        else:
            choices = [c for c in choices if c[1] not in ("sandbox", "sidecar")]
        self._choices = [c for c in choices if kinds is None or c[0] in kinds or f"{c[0]}:{c[1]}" in kinds]

    def note(self, words: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:6.1f} s  {words}")

    async def run(self, seconds: float, *, every: tuple[float, float] = (2.0, 5.0)) -> None:
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                await asyncio.sleep(min(left, self.random.uniform(*every)))
                if time.monotonic() < end:
                    await self.strike(*self.random.choice(self._choices))
        finally:
            self.thaw()

    async def strike(self, how: str, what: str) -> None:
        draw = self.random.random()
        if how == "link":
            await self._link(next(fault for fault in LINKS if fault["kind"] == what))
            return
        with contextlib.suppress(OSError, ValueError):
            self.fleet.reload()
        pids = self.fleet.ready["pids"].get(what) or []
        if not pids:
            self.note(f"{how} {what}: none runs")
            return
        pid = pids[int(draw * len(pids))]
        with contextlib.suppress(ProcessLookupError):
            if how == "freeze":
                await self._freeze(what, pid, 1 + 9 * self.random.random())
            else:
                self.note(f"{'kill -9' if how == 'kill' else 'SIGTERM'} {what} {pid}")
                os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGTERM)
                if pid in self._frozen:
                    os.kill(pid, signal.SIGCONT)

    async def _freeze(self, what: str, pid: int, seconds: float) -> None:
        self.note(f"SIGSTOP {what} {pid} for {seconds:.1f} s")
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)
        asyncio.get_running_loop().call_later(seconds, self._thaw_one, pid)

    def _thaw_one(self, pid: int) -> None:
        if pid in self._frozen:
            self._frozen.discard(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def thaw(self) -> None:
        for pid in list(self._frozen):
            self._thaw_one(pid)

    async def _link(self, fault: dict[str, Any]) -> None:
        body = dict(fault)
        self.note(f"link {body}")
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(base_url=self.fleet.ready["sandbox_url"], timeout=3) as client:
                await client.post("/api/faults", json=body)

    async def clear(self) -> None:
        """Ends what lasts."""
        self.thaw()
        if self.fleet.ready.get("sandbox_url") is None:
            return
        for _ in range(60):
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient(base_url=self.fleet.ready["sandbox_url"], timeout=3) as client:
                    await client.delete("/api/faults")
                    return
            await asyncio.sleep(0.5)
