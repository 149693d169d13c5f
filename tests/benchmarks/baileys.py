"""Real Baileys on the sandbox, through the whole fleet (`pww up`), beside bare Baileys in the same run.

    PYTHONPATH=shared:services:. python tests/benchmarks/baileys.py [--sequential 300] [--sessions 40] [--texts 25]

One session, one text after the other: publish → `sent` event, and publish → taken by the server as its journal says
(whole milliseconds). Then many sessions at once: decrypted a second, CPU of every process a message, and memory of
worker and sidecar before and after `--flat` more texts. The best gateway measured on a like server: 4.0 ms and 516 to
721 decrypted a second at 1.6 to 1.8 ms of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tests.benchmarks import rig
from tests.support.running import Fleet, Plain, Sandbox, pair, plain, sandbox

NODE = Path(sys.executable).with_name("node")
BARE = Path(__file__).parents[2] / "sidecar-node/test/sidecar/bench/bare.ts"
CONTACT = "+5511988880001"


class Statuses:
    """When each command came how far."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.read = 0

    async def on_status(self, message: Msg) -> None:
        data = msgspec.msgpack.decode(message.data)["data"]
        if data["status"] == "sent":
            self.sent[data["command_id"]] = time.perf_counter()
        elif data["status"] == "read":
            self.read += 1


class Bench:
    def __init__(self, fleet: Fleet, program: Plain, whatsapp: Sandbox, statuses: Statuses) -> None:
        self.fleet = fleet
        self.program = program
        self.whatsapp = whatsapp
        self.statuses = statuses
        self.rows: list[tuple[str, str]] = []

    def pids(self) -> dict[str, list[int]]:
        pids: dict[str, list[int]] = self.fleet.reload()["pids"]
        return {**pids, "pww up": [self.fleet.pid]}

    def cpu(self) -> dict[str, float]:
        return {kind: rig.cpu_s(pids) for kind, pids in self.pids().items()}

    def memory(self) -> float:
        pids = self.pids()
        return rig.rss_mb([*pids["session_worker"], *pids["sidecar"]])

    async def until(self, what: str, done: Any, seconds: float = 120) -> None:
        deadline = time.perf_counter() + seconds
        while not done():
            assert time.perf_counter() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.002)

    async def sequential(self, count: int) -> None:
        number = "+5511970000000"
        await pair(self.program, self.whatsapp, "one", number)
        published: dict[str, tuple[float, float]] = {}
        for n in range(50 + count):
            name = f"one-{n}"
            published[name] = (time.perf_counter(), time.time())
            await self.program.send("one", name, CONTACT, f"message {n}")
            await self.until(name, lambda name=name: name in self.statuses.sent)
        measured = list(published)[50:]
        times = [(self.statuses.sent[name] - published[name][0]) * 1e3 for name in measured]
        taken = {entry["text"]: seconds(entry) for entry in await self.whatsapp.decrypted(number)}
        to_server = [
            (taken[f"message {name.partition('-')[2]}"] - published[name][1]) * 1e3 for name in measured
        ]
        for label, found in (("publish → sent event", times), ("publish → taken by the server", to_server)):
            p = [rig.percentile(found, share) for share in (0.5, 0.95, 0.99)]
            self.rows.append(
                (f"one session: {label}, p50 / p95 / p99", f"{p[0]:.1f} / {p[1]:.1f} / {p[2]:.1f} ms")
            )

    async def at_once(self, sessions: list[str], texts: int, run: str) -> tuple[float, dict[str, float]]:
        """Decrypted a second, and CPU milliseconds a message of each kind of process."""
        count = len(sessions) * texts
        before, already, read = self.cpu(), len(self.statuses.sent), self.statuses.read
        began = time.time()
        await asyncio.gather(
            *(
                self.program.send(session, f"{run}-{session}-{n}", CONTACT, f"{run} {n}")
                for n in range(texts)
                for session in sessions
            )
        )
        await self.until("all sent", lambda: len(self.statuses.sent) == already + count)
        await self.until("all read", lambda: self.statuses.read == read + count)
        await asyncio.sleep(0.5)
        after = self.cpu()
        entries = await self.journal(run)
        assert len(entries) == count, f"{len(entries)} decrypted of {count}"
        took = max(map(seconds, entries)) - began
        return count / took, {kind: (after[kind] - before.get(kind, 0.0)) / count * 1e3 for kind in after}

    async def journal(self, run: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        after = 0
        while True:
            page = await self.whatsapp.get("/api/journal", after=after, limit=1000)
            if not page["entries"]:
                return entries
            after = page["entries"][-1]["seq"]
            entries += [
                entry
                for entry in page["entries"]
                if entry["kind"] == "message" and str(entry.get("text", "")).startswith(f"{run} ")
            ]


def seconds(entry: dict[str, Any]) -> float:
    """When the sandbox wrote it down, since 1970."""
    return datetime.fromisoformat(entry["at"]).timestamp()


def bare(data: Path, count: int, number: int) -> dict[str, float]:
    """Bare Baileys' own milliseconds a text, and its CPU."""
    for path in data.rglob("*.json"):
        told = json.loads(path.read_text())
        if isinstance(told, dict) and "root_key" in told:
            break
    else:
        raise AssertionError("the sandbox's ready file is not there")
    command: list[str | Path] = [NODE, BARE, told["ws_url"], told["root_key"], told["http_url"]]
    command += [f"+55118{80000000 + number}", "+5511988880002", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def run(given: argparse.Namespace, directory: Path) -> list[tuple[str, str]]:
    fleet = Fleet(directory)
    fleet.start(120)
    statuses = Statuses()
    try:
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            await program.client.subscribe(
                "wa.evt.demo.*.status.*", cb=statuses.on_status, pending_msgs_limit=-1
            )
            await program.client.flush()
            bench = Bench(fleet, program, whatsapp, statuses)
            bares = [await asyncio.to_thread(bare, directory / "data", given.sequential, 1)]
            empty = bench.memory()
            await bench.sequential(given.sequential)
            bares.append(await asyncio.to_thread(bare, directory / "data", given.sequential, 2))
            medians = {key: statistics.median(one[key] for one in bares) for key in bares[0]}
            bench.rows.append(
                (
                    "bare Baileys, send → server's ack, p50 / p95",
                    f"{medians['p50']:.1f} / {medians['p95']:.1f} ms, {medians['cpu']:.2f} ms of CPU",
                )
            )
            slope_from = {kind: rig.rss_mb(pids) for kind, pids in bench.pids().items()}
            sessions = [f"s{n}" for n in range(given.sessions)]
            for n, session in enumerate(sessions):
                await pair(program, whatsapp, session, f"+55119{60000000 + n}")
            slope = {
                kind: (rig.rss_mb(pids) - slope_from[kind]) / len(sessions)
                for kind, pids in bench.pids().items()
                if kind in ("sidecar", "session_worker")
            }
            paired = bench.memory()
            await bench.at_once(sessions, 2, "warm")
            program.events.clear()
            rates, spent = [], []
            for attempt in range(3):
                rate, cpu = await bench.at_once(sessions, given.texts, f"run{attempt}")
                rates.append(rate)
                spent.append(cpu)
                program.events.clear()
            loaded = bench.memory()
            for attempt in range(max(0, given.flat // (len(sessions) * 25))):
                await bench.at_once(sessions, 25, f"flat{attempt}")
                program.events.clear()
            flat = bench.memory()
            total = [sum(cpu.values()) for cpu in spent]
            ours = [sum(value for kind, value in cpu.items() if kind != "sandbox") for cpu in spent]
            parts = {kind: statistics.median(cpu.get(kind, 0.0) for cpu in spent) for kind in spent[0]}
            bench.rows += [
                (
                    f"{len(sessions)} sessions x {given.texts} texts at once, decrypted",
                    f"{statistics.median(rates):.0f}/s   {' '.join(f'{rate:.0f}' for rate in rates)}   (aim 1000)",
                ),
                ("CPU a message, all processes", f"{statistics.median(total):.2f} ms   (aim 1.6)"),
                ("CPU a message, without the sandbox", f"{statistics.median(ours):.2f} ms"),
                ("  of it", ", ".join(f"{kind} {value:.2f}" for kind, value in parts.items())),
                ("memory a paired session, sidecar", f"{slope['sidecar']:.2f} MB   (aim 1.5)"),
                ("memory a paired session, worker", f"{slope['session_worker'] * 1024:.0f} KB   (aim 100)"),
                (
                    "worker + sidecar: empty, paired, loaded, after the flat run",
                    f"{empty:.0f}, {paired:.0f}, {loaded:.0f}, {flat:.0f} MB   (aim 150, flat)",
                ),
            ]
            flushes = rig.fsync_ms(directory)
            bench.rows.append(
                (
                    "fsync p50 / p99",
                    f"{statistics.median(flushes):.2f} / {rig.percentile(flushes, 0.99):.2f} ms",
                )
            )
            return bench.rows
    finally:
        fleet.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequential", type=int, default=300)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--texts", type=int, default=25)
    parser.add_argument("--flat", type=int, default=3000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pww-bench-", ignore_cleanup_errors=True) as directory:
        rig.table("Baileys on the sandbox", asyncio.run(run(given, Path(directory))))


if __name__ == "__main__":
    main()
