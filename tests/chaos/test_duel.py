"""The duel: a worker and its sidecar die in the middle of everything; how much is lost, and how long it takes.

And its relatives: 200 sessions fail over, every service restarts under load. Figures are printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.support.chaos import sessions
from tests.support.chaos.ground import Ground
from tests.support.chaos.load import Contacts, Sender
from tests.support.chaos.plan import CONTACTS, Account, Plan
from tests.support.chaos.run import publishers
from tests.support.chaos.verdict import Verdict
from tests.support.running import Plain, plain
from tests.support.waiting import wait_until

SESSIONS, SENDS, INBOUND, KILL_AFTER = 40, 25, 200, 400


@contextlib.asynccontextmanager
async def under(plan: Plan, directory: Path) -> AsyncIterator[tuple[Ground, dict[Account, Sender], Plain]]:
    """A fleet with its sessions WORKING, a publisher for each, and a program that follows the events of t0."""
    async with Ground(plan._replace(kinds=()), directory, None) as ground:
        await sessions.start(ground)
        async with plain(ground.fleet, "t0") as program, publishers(ground) as senders:
            yield ground, senders, program


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def live(program: Plain, names: list[str], since: int, timeout: float) -> None:
    """Waits until each of the sessions has said WORKING again since so many events."""

    def all_live() -> bool:
        back = {
            event["session_id"]
            for event in program.events[since:]
            if event["event"] == "session" and event["data"]["status"] == "WORKING"
        }
        return back >= set(names)

    await wait_until(all_live, timeout, interval=0.05, message="all live again")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("round_number", range(int(os.environ.get("CHAOS_ROUNDS", "1"))))
async def test_duel(
    workers: int, round_number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """40 sessions of 25 sends on Baileys, 200 inbound; a worker and its sidecar die after 400 sends."""
    plan = Plan(seed=round_number, tenants=1, sessions=SESSIONS, workers=workers, settle_s=60)
    async with under(plan, tmp_path) as (ground, senders, program):
        contacts = Contacts(ground, list(plan.accounts.values()), CONTACTS, plan.seed)
        program.events.clear()

        async def publish(sender: Sender) -> None:
            for number in range(SENDS):
                await sender.send(number)

        async def write() -> None:
            async with ground.http(timeout=20) as http:
                while contacts.sent < INBOUND:
                    await contacts.write(http)
                    await asyncio.sleep(0.01)

        def sent() -> int:
            return sum(event["data"]["status"] == "sent" for event in program.of("status"))

        work = [asyncio.create_task(publish(sender)) for sender in senders.values()]
        work.append(asyncio.create_task(write()))
        await wait_until(lambda: sent() >= KILL_AFTER, 60, interval=0.01)
        # One worker and its sidecar; the other's sessions (if there is one) go on.
        victim = ground.pids("session_worker")[0]
        children = _children(victim)
        since, at = len(program.events), time.monotonic()
        kill([victim, *children])
        await asyncio.gather(*work)
        async with ground.bus() as bus:
            verdict = Verdict(ground, bus, senders)
            lost = await _dropped(program, since, workers)
            await live(program, lost, since, 60)
            seconds = time.monotonic() - at
            findings, _ = await verdict.settled()
        with capsys.disabled():
            print(
                f"\nduel, {workers} workers: {len(lost)} sessions lost their worker, all live again after "
                f"{seconds:.1f} s; {findings}"
            )
        assert not findings.faults
        assert seconds < 30


async def _dropped(program: Plain, since: int, workers: int) -> list[str]:
    """The sessions that went with the worker: all, or those that another process takes over."""
    names = sorted({f"s{number}" for number in range(SESSIONS)})
    if workers == 1:
        return names
    await asyncio.sleep(8)
    return sorted({e["session_id"] for e in program.events[since:] if e["event"] == "session"})


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


async def test_failover_of_200(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker with half of 400 sessions is killed and does not come back: the other sends for all of them."""
    plan = Plan(seed=1, engine="simulated", tenants=1, sessions=400, workers=2, settle_s=60)
    async with under(plan, tmp_path) as (ground, senders, program):
        victim = ground.pids("session_worker")[0]
        program.events.clear()
        at = time.monotonic()
        # Frozen and not killed: `pww up` would start another in its place.
        os.kill(victim, signal.SIGSTOP)
        try:
            await asyncio.gather(*(sender.send(0) for sender in senders.values()))

            def first_of(count: int) -> bool:
                done = {e["session_id"] for e in program.of("status") if e["data"]["status"] == "sent"}
                return len(done) >= count

            await wait_until(lambda: first_of(201), 60, interval=0.05)
            first = time.monotonic() - at
            await wait_until(lambda: first_of(400), 90, interval=0.05)
            every = time.monotonic() - at
        finally:
            os.kill(victim, signal.SIGCONT)
        async with ground.bus() as bus:
            verdict = Verdict(ground, bus, senders)
            findings, _ = await verdict.settled()
        with capsys.disabled():
            print(f"\nfailover of 200: first send {first:.1f} s, all {every:.1f} s; {findings}")
        assert not findings.faults
        assert first <= 10
        assert every <= 60


async def test_handover_of_200(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker with half of 400 sessions is asked to stop while all of them send: it hands over, and loses nothing."""
    plan = Plan(seed=1, engine="simulated", tenants=1, sessions=400, workers=2, settle_s=60)
    async with under(plan, tmp_path) as (ground, senders, program):
        victim = ground.pids("session_worker")[0]
        program.events.clear()
        work = asyncio.gather(*(sender.send(0) for sender in senders.values()))
        at = time.monotonic()
        os.kill(victim, signal.SIGTERM)
        await asyncio.to_thread(_gone, victim)
        gone = time.monotonic() - at
        await work

        def all_sent() -> bool:
            return (
                len({e["session_id"] for e in program.of("status") if e["data"]["status"] == "sent"}) == 400
            )

        await wait_until(all_sent, 90, interval=0.05)
        every = time.monotonic() - at
        async with ground.bus() as bus:
            verdict = Verdict(ground, bus, senders)
            findings, _ = await verdict.settled()
        with capsys.disabled():
            print(
                f"\nhandover of 200: the worker is gone after {gone:.1f} s, all sent after {every:.1f} s; {findings}"
            )
        assert not findings.faults


async def test_rolling_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every service in turn is asked to stop (SIGTERM) and starts again, under load: no command fails."""
    plan = Plan(seed=1, tenants=1, sessions=6, workers=2, rate=3, settle_s=60)
    async with under(plan, tmp_path) as (ground, senders, _):
        stopping = asyncio.Event()
        work = [asyncio.create_task(sender.run(plan.rate, stopping)) for sender in senders.values()]
        gaps: list[str] = []
        for kind in ("session_worker", "session_worker", "dispatcher", "persistence", "nats-server"):
            pids = ground.pids(kind)
            pid = pids[0] if not gaps or not gaps[-1].startswith(kind) else pids[-1]
            at = time.monotonic()
            os.kill(pid, signal.SIGTERM)
            await asyncio.to_thread(_gone, pid)
            gaps.append(f"{kind} {time.monotonic() - at:.1f} s")
            await asyncio.sleep(4)
        stopping.set()
        await asyncio.gather(*work)
        async with ground.bus() as bus:
            verdict = Verdict(ground, bus, senders)
            findings, _ = await verdict.settled()
        with capsys.disabled():
            print(f"\nrolling restart, seconds to stop: {', '.join(gaps)}; {findings}")
        assert not findings.faults
        assert findings.counts["failed"] == findings.counts["unknown"] == 0


def _gone(pid: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.02)
                continue
        return
