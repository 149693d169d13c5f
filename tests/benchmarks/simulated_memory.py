"""Memory of idle simulated sessions in one process: `python tests/benchmarks/simulated_memory.py [sessions]`.

What the engine and its WhatsApp hold a session, paired and open, by tracemalloc (objects) and by the process's resident
size; what the session's host holds is not counted. Aim: 2 KB.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from pywhatsweb_fleet.session_worker.engines.port import (
    Action,
    EngineSession,
    EventUnit,
    KeysUnit,
    OpenSpec,
    Pairing,
    Recipient,
    StateChange,
)
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine

AIM_BYTES = 2048


class Host:
    """As little as a host can be."""

    __slots__ = ("creds", "link", "now")

    def __init__(self) -> None:
        self.creds: bytes | None = None
        self.now = ""
        self.link: EngineSession | None = None

    def state(self, change: StateChange) -> None:
        self.now = change.state

    def event(self, unit: EventUnit) -> None:
        if self.link is not None:
            self.link.committed(unit.unit)

    def keys(self, unit: KeysUnit) -> None:
        self.creds = unit.creds
        if self.link is not None:
            self.link.committed(unit.unit)

    async def load_keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        return {}


def resident() -> int:
    """Bytes, of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def open_all(engine: SimulatedEngine, hosts: list[Host], incarnation: int) -> None:
    for number, host in enumerate(hosts):
        spec = OpenSpec(f"bench/s{number}", incarnation, host.creds, Pairing(), {})
        host.link = await engine.open(spec, host)


async def settled(hosts: list[Host], state: str) -> None:
    while any(host.now != state for host in hosts):  # noqa: ASYNC110 - hosts are bare on purpose
        await asyncio.sleep(0.005)


async def measure(sessions: int) -> dict[str, float]:
    """Bytes a session by both measures, seconds to open all, timers and tasks left."""
    engine = SimulatedEngine(defaults={"pair_after_ms": 0, "delivered_ms": 1, "read_ms": 2})
    await engine.start()
    hosts = [Host() for _ in range(sessions)]
    await open_all(engine, hosts, 1)
    await settled(hosts, "closed")
    await engine.stop()
    del engine
    engine = SimulatedEngine(defaults={"delivered_ms": 1, "read_ms": 2})
    await engine.start()
    gc.collect()
    before = resident()
    tracemalloc.start()
    began = time.perf_counter()
    await open_all(engine, hosts, 2)
    await settled(hosts, "open")
    took = time.perf_counter() - began
    gc.collect()
    fresh = tracemalloc.get_traced_memory()[0] / sessions
    rss = (resident() - before) / sessions
    to = Recipient(pn="+5511988887777")
    text = {"type": "text", "text": {"body": "x"}}
    for number, host in enumerate(hosts):
        if host.link is not None:
            await host.link.act(Action("send", f"3EB0{number:018X}", to, text))
    await asyncio.sleep(0.2)
    engine.whatsapp.accepted.clear()
    engine.whatsapp._seen.clear()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] / sessions
    tracemalloc.stop()
    loop = asyncio.get_running_loop()
    timers = len(getattr(loop, "_scheduled", ()))
    tasks = len(asyncio.all_tasks()) - 1
    await engine.stop()
    return {"fresh": fresh, "used": used, "rss": rss, "seconds": took, "timers": timers, "tasks": tasks}


def main() -> None:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    figures = asyncio.run(measure(sessions))
    print(f"{sessions} sessions, opened in {figures['seconds']:.2f} s (under tracemalloc)")
    print(
        f"a session: {figures['fresh']:.0f} bytes open, {figures['used']:.0f} after a send and its statuses"
    )
    print(f"resident (with tracemalloc's own): {figures['rss']:.0f} bytes a session")
    print(f"timers {figures['timers']:.0f}, tasks {figures['tasks']:.0f}; aim {AIM_BYTES} bytes")


if __name__ == "__main__":
    main()
