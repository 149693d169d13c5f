"""One run: a fleet, traffic both ways, blows by a seed, quiet, and the verdict.

python -m tests.support.chaos.run --seed 7 --seconds 60 --engine baileys --tenants 2 --sessions 3
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

from pywhatsweb.contracts import streams
from pywhatsweb_runtime import bus as bus_module
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import BrokerSettings, Bus
from pywhatsweb_runtime.kv import Bucket
from tests.support.chaos import oracle
from tests.support.chaos.faults import Chaos
from tests.support.chaos.load import Contacts, Sender, client_of
from tests.support.running import Fleet, Sandbox, new_number, pair, plain

CONTACTS = [f"+55119888{number:05d}" for number in range(6)]


class Plan(NamedTuple):
    seed: int
    seconds: float = 20
    engine: str = "baileys"
    tenants: int = 2
    sessions: int = 3
    """Of each tenant."""
    workers: int = 2
    rate: float = 2.0
    """Sends a second and session."""
    inbound: float = 5.0
    """Inbound messages a second, in all."""
    every: tuple[float, float] = (2.0, 5.0)
    kinds: tuple[str, ...] | None = None
    settle_s: float = 90.0


class Report(NamedTuple):
    plan: Plan
    log: list[str]
    findings: oracle.Findings
    alerts: Counter[str]
    settle_s: float
    processes: dict[str, str]

    @property
    def well(self) -> bool:
        return not self.findings.faults

    def __str__(self) -> str:
        lines = [
            f"seed {self.plan.seed}: {len(self.log)} faults in {self.plan.seconds:g} s",
            f"{'WELL' if self.well else 'NOT WELL'}, settled in {self.settle_s:.1f} s",
            *self.log,
            str(self.findings),
            f"alerts {dict(self.alerts)}",
            f"processes {self.processes}",
        ]
        return "\n".join(lines)


@contextlib.asynccontextmanager
async def platform_bus(fleet: Fleet) -> Any:
    user = fleet.ready["platform"]
    settings = BrokerSettings(
        nats_url=fleet.ready["nats_url"], nats_user=user["user"], nats_password=user["password"]
    )
    async with bus_module.connect(settings, name="oracle") as bus:
        yield bus


def start(plan: Plan, directory: Path) -> Fleet:
    env = {
        "PWW_LOG_FORMAT": "json",
        "PWW_ACK_TIMEOUT_S": "8",
        "PWW_HEARTBEAT_S": "10",
        "PWW_HEARTBEAT_TIMEOUT_S": "5",
        "PWW_RETRY_PAUSE_S": "1",
        "PWW_CONNECTS_PER_SECOND": "100",
    }
    arguments = ["--workers", str(plan.workers), "--engine", plan.engine]
    for number in range(plan.tenants):
        arguments += ["--tenant", f"t{number}"]
    if plan.engine == "simulated":
        env["PWW_SIMULATED_STATE"] = str(directory / "whatsapp.jsonl")
    fleet = Fleet(directory, *arguments, env=env)
    fleet.start(120)
    return fleet


async def start_sessions(plan: Plan, fleet: Fleet) -> dict[oracle.Account, str]:
    """Every session up to WORKING; the numbers that WhatsApp knows them by (of simulated ones: their names)."""
    numbers: dict[oracle.Account, str] = {}
    for index in range(plan.tenants):
        tenant = f"t{index}"
        names = [f"s{number}" for number in range(plan.sessions)]
        async with plain(fleet, tenant) as program:
            if plan.engine == "simulated":
                await _wish_simulated(fleet, tenant, names)
                for name in names:
                    await program.reached(name, "WORKING", timeout=120)
                numbers |= {(tenant, name): f"{tenant}/{name}" for name in names}
                continue
            async with httpx.AsyncClient(base_url=fleet.ready["sandbox_url"], timeout=30) as http:
                for name in names:
                    numbers[tenant, name] = new_number()
                for some in range(0, len(names), 4):
                    await asyncio.gather(
                        *(
                            pair(program, Sandbox(http), name, numbers[tenant, name])
                            for name in names[some : some + 4]
                        )
                    )
    return numbers


async def _wish_simulated(fleet: Fleet, tenant: str, names: list[str]) -> None:
    simulated = {
        "pair_after_ms": 0,
        "echo_ms": 300,
        "key_writes": True,
        "ack_ms": 5,
        "random": {"seed": 1, "close_after": 0.002, "close_before": 0.002, "duplicate": 0.05},
    }
    async with platform_bus(fleet) as bus:
        bucket = Bucket(bus, streams.SESSIONS_BUCKET)
        for name in names:
            record = registry.SessionRecord(engine="simulated", settings={"simulated": simulated})
            await bucket.put(f"{tenant}.{name}", registry.encode(record))


def processes(fleet: Fleet) -> dict[str, tuple[int, int]]:
    """By kind: open files and resident megabytes of the largest."""
    found: dict[str, tuple[int, int]] = {}
    with contextlib.suppress(OSError, ValueError):
        fleet.reload()
    for kind, pids in fleet.ready["pids"].items():
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                fds, rss = process.num_fds(), process.memory_info().rss >> 20
                known = found.get(kind, (0, 0))
                found[kind] = (max(known[0], fds), max(known[1], rss))
    return found


async def run(plan: Plan, directory: Path) -> Report:
    fleet = start(plan, directory)
    try:
        return await _run(plan, fleet)
    finally:
        fleet.stop()


async def _run(plan: Plan, fleet: Fleet) -> Report:
    numbers = await start_sessions(plan, fleet)
    before = processes(fleet)
    stopping = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        senders: dict[oracle.Account, Sender] = {}
        for tenant in {tenant for tenant, _ in numbers}:
            client = await client_of(fleet, tenant)
            stack.push_async_callback(client.close)
            for at in (at for at in numbers if at[0] == tenant):
                senders[at] = Sender(client, *at, CONTACTS, plan.seed)
        work = [asyncio.create_task(sender.run(plan.rate, stopping)) for sender in senders.values()]
        if fleet.ready.get("sandbox_url"):
            contacts = Contacts(fleet, list(numbers.values()), CONTACTS, plan.seed)
            work.append(asyncio.create_task(contacts.run(plan.inbound, stopping)))
        chaos = Chaos(fleet, plan.seed, kinds=plan.kinds)
        await asyncio.sleep(1)
        await chaos.run(plan.seconds, every=plan.every)
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*work), 60)
    await chaos.clear()
    began = time.monotonic()
    async with platform_bus(fleet) as bus:
        verdict = Verdict(plan, fleet, bus, numbers, senders)
        end = began + plan.settle_s
        findings = await verdict.look()
        while findings.faults and time.monotonic() < end:
            await asyncio.sleep(2)
            findings = await verdict.look()
        settled = time.monotonic() - began
        after = processes(fleet)
    for kind, (fds, rss) in after.items():
        was = before.get(kind, (fds, rss))
        if fds > was[0] + 40 or rss > 2 * was[1] + 150:
            findings.fault("resources", f"{kind}: {was} open files and MB before, {(fds, rss)} after")
    summary = {kind: f"{before.get(kind)}→{now}" for kind, now in after.items()}
    return Report(plan, chaos.log, findings, verdict.alerts, settled, summary)


class Verdict:
    def __init__(
        self,
        plan: Plan,
        fleet: Fleet,
        bus: Bus,
        numbers: dict[oracle.Account, str],
        senders: dict[oracle.Account, Sender],
    ) -> None:
        self.alerts: Counter[str] = Counter()
        self._plan = plan
        self._fleet = fleet
        self._bus = bus
        self._numbers = numbers
        self._senders = senders

    async def look(self) -> oracle.Findings:
        try:
            return await self._look()
        except Exception as error:  # noqa: BLE001 - something is still on its way up
            findings = oracle.Findings()
            findings.fault("cannot_look", f"{type(error).__name__}: {error}")
            return findings

    async def _journal(self) -> oracle.SandboxJournal | oracle.SimulatedJournal:
        if self._plan.engine == "simulated":
            return oracle.SimulatedJournal(self._fleet.directory / "whatsapp.jsonl")
        entries: list[dict[str, Any]] = []
        after = 0
        async with httpx.AsyncClient(base_url=self._fleet.ready["sandbox_url"], timeout=30) as client:
            while True:
                answer = await client.get(
                    "/api/journal", params={"after": after, "limit": 1000, "content": 0}
                )
                page = answer.json()["entries"]
                entries += page
                if not page:
                    return oracle.SandboxJournal(entries)
                after = page[-1]["seq"]

    async def _look(self) -> oracle.Findings:
        findings = oracle.Findings()
        journal = await self._journal()
        inbound: dict[oracle.Account, list[str]] = {}
        self.alerts = Counter()
        tenants = sorted({tenant for tenant, _ in self._numbers})
        for tenant in tenants:
            stored = await oracle.events_of(self._bus, tenant)
            told = oracle.Told(stored, findings)
            self.alerts += told.alerts
            ids = _message_ids(stored) if self._plan.engine == "simulated" else {}
            for at, number in self._numbers.items():
                if at[0] != tenant:
                    continue
                sender = self._senders[at]
                texts = sender.texts
                if self._plan.engine == "simulated":
                    texts = {command: ids.get((at[1], command), command) for command in texts}
                taken = journal.taken.get(number, oracle.Taken([], 0))
                oracle.check_commands(findings, at, sender.accepted, texts, steps=told.steps[at], taken=taken)
                inbound[at] = journal.inbound.get(number, [])
                oracle.check_inbound(findings, at, inbound[at], told.inbound[at])
                if told.statuses[at][-1:] != ["WORKING"]:
                    findings.fault("session", f"{at} ended as {told.statuses[at][-3:]}")
        for name, count in (await oracle.waiting(self._bus, tenants)).items():
            findings.fault("left_over", f"{name} holds {count}")
        oracle.check_database(findings, self._fleet.directory / "data" / "fleet.db", inbound)
        return findings


def _message_ids(stored: list[bus_module.Stored]) -> dict[tuple[str, str], str]:
    ids: dict[tuple[str, str], str] = {}
    for one in stored:
        event = oracle.decode(one)
        if event["event"] == "status" and event["data"].get("message_id") and event["data"].get("command_id"):
            ids[event["session_id"], event["data"]["command_id"]] = event["data"]["message_id"]
    return ids


def main() -> int:
    parser = argparse.ArgumentParser()
    defaults = Plan(0)
    for name in ("seed", "seconds", "engine", "tenants", "sessions", "workers", "rate", "inbound"):
        value = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on")
    parser.add_argument("--every", type=float, nargs=2, default=list(defaults.every))
    parser.add_argument("--kinds", nargs="*", help="kill, freeze, stop, link, or kill:session_worker …")
    parser.add_argument("--keep", type=Path, help="where the data of the runs stays")
    options = parser.parse_args()
    bad = 0
    for seed in range(options.seed, options.seed + options.seeds):
        plan = Plan(
            seed=seed,
            every=tuple(options.every),
            kinds=tuple(options.kinds) if options.kinds else None,
            **{
                name: getattr(options, name)
                for name in ("seconds", "engine", "tenants", "sessions", "workers", "rate", "inbound")
            },
        )
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            directory = (options.keep or Path(temporary)) / f"seed-{seed}"
            report = asyncio.run(run(plan, directory))
        sys.stdout.write(f"{report}\n")
        sys.stdout.flush()
        bad += not report.well
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
