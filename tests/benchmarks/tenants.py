"""What tenants cost one another, and what a thousand of them cost: on a whole `pww up` with the simulated engine."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import psutil

from pywhatsweb_fleet.broker import secrets
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from tests.benchmarks import rig
from tests.support.running import Fleet, Plain, plain

RATE = 25.0
"""A's quota, commands a second."""
OVER = 10
"""How many times its quota A floods with."""
B_EVERY_S = 0.05
TO = "+5511987650001"


def _platform(fleet: Fleet) -> BrokerSettings:
    user = fleet.ready["platform"]
    return BrokerSettings(
        nats_url=fleet.ready["nats_url"], nats_user=user["user"], nats_password=user["password"]
    )


async def _ask(bus: Bus, verb: str, **arguments: Any) -> Any:
    answer = await bus.request(f"wa.ops.{verb}", json.dumps(arguments).encode(), deadline=120)
    found = json.loads(answer.data)
    if not found["ok"]:
        raise RuntimeError(found["error"]["code"])
    return found["data"]


class _Watch:
    """When each command was published, and when `sent` was heard of it."""

    def __init__(self, program: Plain) -> None:
        self._program = program
        self.published: dict[str, float] = {}

    async def run(self, prefix: str, seconds: float) -> list[float]:
        """Latencies in seconds, of commands at a steady pace; one that has no `sent` after a minute is an error."""
        sent: dict[str, float] = {}
        until = time.perf_counter() + seconds
        seen = len(self._program.events)
        number = 0

        def look() -> None:
            nonlocal seen
            for event in self._program.events[seen:]:
                if event["event"] == "status" and event["data"]["status"] == "sent":
                    sent.setdefault(event["data"]["command_id"], time.perf_counter())
            seen = len(self._program.events)

        while time.perf_counter() < until:
            command_id = f"{prefix}{number}"
            self.published[command_id] = time.perf_counter()
            await self._program.send(f"b{number % 8}", command_id, TO, "x")
            number += 1
            resume = self.published[command_id] + B_EVERY_S
            while (left := resume - time.perf_counter()) > 0:
                await asyncio.sleep(min(left, 0.001))
                look()
        deadline = time.perf_counter() + 60
        mine = [command_id for command_id in self.published if command_id.startswith(prefix)]
        while not all(command_id in sent for command_id in mine):
            if time.perf_counter() > deadline:
                raise RuntimeError("commands of B's were not sent within a minute")
            await asyncio.sleep(0.001)
            look()
        return [sent[command_id] - self.published[command_id] for command_id in mine]


async def _flood(program: Plain, stop: asyncio.Event) -> int:
    """At `OVER` times the quota; how many there were."""
    began, count = time.perf_counter(), 0
    while not stop.is_set():
        due = int((time.perf_counter() - began) * RATE * OVER)
        while count < due:
            body = json.dumps({"to": TO, "type": "text", "text": {"body": "x"}}).encode()
            await program.client.publish(
                f"wa.cmd.a.a{count % 8}.send", body, headers={"Nats-Msg-Id": f"f{count}"}
            )
            count += 1
        await asyncio.sleep(0.005)
    return count


async def fairness(directory: Path, seconds: float) -> list[tuple[str, str]]:
    """B's latency while A is quiet, and while it floods; quiet, flood, quiet, flood in one run."""
    fleet = Fleet(directory, "--engine", "simulated", "--tenant", "a", "b")
    await asyncio.to_thread(fleet.start, 120)
    quiet: list[float] = []
    loud: list[float] = []
    try:
        async with connect(_platform(fleet), name="bench") as bus:
            await _ask(bus, "tenant.quota", tenant="a", quota={"commands_per_second": RATE})
        async with plain(fleet, "a") as a, plain(fleet, "b") as b:
            for program, name in ((a, "a"), (b, "b")):
                for number in range(8):
                    fast = {"pacing": {"per_minute": 6000, "burst": 1000, "jitter_ms": 0, "typing": False}}
                    await program.ok("session.start", session_id=f"{name}{number}", settings=fast)
                for number in range(8):
                    await program.reached(f"{name}{number}", "WORKING", timeout=60)
            watch = _Watch(b)
            await watch.run("warm", 3)
            flooded = 0
            for turn in range(2):
                quiet += await watch.run(f"quiet{turn}-", seconds)
                stop = asyncio.Event()
                flood = asyncio.create_task(_flood(a, stop))
                loud += await watch.run(f"loud{turn}-", seconds)
                stop.set()
                flooded += await flood
                await asyncio.sleep(2)
    finally:
        await asyncio.to_thread(fleet.stop)
    p99 = [rig.percentile(found, 0.99) * 1000 for found in (quiet, loud)]
    p50 = [rig.percentile(found, 0.5) * 1000 for found in (quiet, loud)]
    return [
        ("A's quota, commands/s", f"{RATE:g}"),
        ("A published meanwhile, commands/s", f"{flooded / (2 * seconds):.0f}"),
        ("B, A quiet: p50 / p99", f"{p50[0]:.1f} / {p99[0]:.1f} ms"),
        ("B, A floods: p50 / p99", f"{p50[1]:.1f} / {p99[1]:.1f} ms"),
        ("p99, flood to quiet", f"{p99[1] / p99[0]:.2f}"),
    ]


async def thousand(directory: Path, count: int) -> list[tuple[str, str]]:
    """So many tenants: the first start, a later start, one more tenant, the broker's memory."""
    data = directory / "data"
    data.mkdir(parents=True, mode=0o700)
    secrets.load_or_make(data, [f"t{number:04}" for number in range(count)])
    fleet = Fleet(directory, "--engine", "simulated")
    first = await asyncio.to_thread(fleet.start, 900)
    rows = [("first start, streams made", f"{first:.1f} s")]
    try:
        await asyncio.to_thread(fleet.stop, 600)
        rows.append(("later start", f"{await asyncio.to_thread(fleet.start, 900):.1f} s"))
        broker = psutil.Process(fleet.reload()["pids"]["nats-server"][0])
        rows.append(("broker's memory", f"{broker.memory_info().rss / 2**20:.0f} MiB"))
        async with connect(_platform(fleet), name="bench") as bus:
            took = []
            for number in range(5):
                began = time.perf_counter()
                await _ask(bus, "tenant.create", tenant=f"more{number}")
                took.append(time.perf_counter() - began)
        rows.append(("one more tenant", f"{sorted(took)[2] * 1000:.0f} ms (median of 5)"))
        config = data / "broker" / "nats.conf"
        rows.append(("configuration", f"{config.stat().st_size / 2**20:.1f} MiB"))
        pids = [pid for found in fleet.reload()["pids"].values() for pid in found]
        rows.append(("everything's memory", f"{rig.rss_mb(pids):.0f} MiB"))
    finally:
        await asyncio.to_thread(fleet.stop, 600)
    return rows
