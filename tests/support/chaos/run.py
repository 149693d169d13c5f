"""One run: a fleet, traffic both ways, blows by a seed, quiet, and the verdict.

Many of them: `python -m tests.support.chaos --help`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from nats.aio.client import Client
from nats.errors import Error as NatsError

from tests.support.chaos import oracle, sessions
from tests.support.chaos.ground import Ground
from tests.support.chaos.load import Contacts, Sender, client_of
from tests.support.chaos.plan import CONTACTS, Account, Plan
from tests.support.chaos.striking import Driver
from tests.support.chaos.verdict import Verdict

FILES, MEGABYTES = 40, 150
"""By how much a process may have grown when all is over: open files; memory, above twice what it was."""
PEAK_MB = 1024
"""What no process may ever have."""

Sizes = dict[str, tuple[int, int]]
"""By kind: open files and resident megabytes of the largest."""


class Report(NamedTuple):
    plan: Plan
    log: list[str]
    struck: list[str]
    findings: oracle.Findings
    alerts: Counter[str]
    refused: Counter[str]
    """How often the broker refused a publisher, by JetStream's code."""
    settle_s: float
    processes: dict[str, str]
    """Open files and megabytes before, at most, and after."""

    @property
    def well(self) -> bool:
        return not self.findings.faults

    def figures(self) -> dict[str, Any]:
        """For a file of results."""
        counts = self.findings.counts
        return {
            "seed": self.plan.seed,
            "store": self.plan.store,
            "engine": self.plan.engine,
            "sessions": self.plan.tenants * self.plan.sessions,
            "seconds": self.plan.seconds,
            "well": self.well,
            "blows": len(self.struck),
            "accepted": counts["accepted"],
            "inbound": counts["inbound"],
            "lost": counts["lost"] + counts["inbound_lost"] + counts["no_outcome"],
            "doubled": counts["doubled"] + counts["inbound_doubled"] + counts["doubled_event"],
            "out_of_order": counts["out_of_order"] + counts["inbound_out_of_order"],
            "repeats": counts["repeats_dropped_by_phones"],
            "settle_s": round(self.settle_s, 1),
            "counts": dict(counts),
            "faults": self.findings.faults,
            "struck": dict(Counter(self.struck)),
            "refused": dict(self.refused),
            "alerts": dict(self.alerts),
        }

    def note(self, results: Path) -> None:
        """Adds the figures to a file, a line of JSON a run."""
        with results.open("a") as file:
            file.write(json.dumps(self.figures()) + "\n")

    def __str__(self) -> str:
        lines = [
            f"seed {self.plan.seed} on {self.plan.store}: {len(self.struck)} blows in {self.plan.seconds:g} s",
            f"{'WELL' if self.well else 'NOT WELL'}, settled in {self.settle_s:.1f} s",
            *self.log,
            str(self.findings),
            f"alerts {dict(self.alerts)}; publishers refused {dict(self.refused)}",
            f"processes {self.processes}",
        ]
        return "\n".join(lines)


async def run(plan: Plan, directory: Path, template: Path | None = None) -> Report:
    """``template``: what `prepare` made for a plan with the same store, engine and sessions."""
    async with Ground(plan, directory, template) as ground:
        await (sessions.again(ground) if template else sessions.start(ground))
        return await _run(ground)


async def prepare(plan: Plan, directory: Path, template: Path) -> None:
    """Links the sessions once for many runs."""
    plan = plan._replace(kinds=())
    async with Ground(plan, directory, None) as ground:
        await sessions.start(ground)
        await ground.keep_as(template)


@contextlib.asynccontextmanager
async def publishers(ground: Ground) -> AsyncIterator[dict[Account, Sender]]:
    """One a session; those of a tenant share a connection."""
    async with contextlib.AsyncExitStack() as stack:
        senders: dict[Account, Sender] = {}
        for number in range(ground.plan.tenants):
            client = await client_of(ground.fleet, f"t{number}")
            stack.push_async_callback(_close, client)
            for at in (at for at in ground.plan.accounts if at[0] == f"t{number}"):
                senders[at] = Sender(client, *at, CONTACTS, ground.plan.seed)
        yield senders


async def _close(client: Client) -> None:
    with contextlib.suppress(OSError, NatsError):  # the broker may be away
        await client.close()


async def _run(ground: Ground) -> Report:
    plan = ground.plan
    before = sizes(ground)
    stopping = asyncio.Event()
    driver = Driver(ground)
    async with publishers(ground) as senders:
        work = [asyncio.create_task(sender.run(plan.rate, stopping)) for sender in senders.values()]
        if ground.whatsapp is not None:
            contacts = Contacts(ground, list(plan.accounts.values()), CONTACTS, plan.seed)
            work.append(asyncio.create_task(contacts.run(plan.inbound, stopping)))
        watching = asyncio.create_task(_peaks(ground))
        await asyncio.sleep(1)
        await driver.run()
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*work), 60)
    if ground.whatsapp is not None:
        await _clear(ground)
    async with ground.bus() as bus:
        verdict = Verdict(ground, bus, senders)
        findings, settled = await verdict.settled()
    watching.cancel()
    (peaks,) = await asyncio.gather(watching)
    after = sizes(ground)
    _judge(findings, before, peaks, after)
    return Report(
        plan,
        driver.log,
        driver.struck,
        findings,
        verdict.alerts,
        sum((sender.refused for sender in senders.values()), Counter()),
        settled,
        {kind: f"{before.get(kind)}→{peaks.get(kind)}→{now}" for kind, now in after.items()},
    )


def sizes(ground: Ground) -> Sizes:
    found: Sizes = {}
    for kind, pids in ground.kinds().items():
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                files, memory = process.num_fds(), process.memory_info().rss >> 20
                known = found.get(kind, (0, 0))
                found[kind] = (max(known[0], files), max(known[1], memory))
    return found


async def _peaks(ground: Ground) -> Sizes:
    """The largest sizes seen, a look a second, until it is cancelled."""
    peaks: Sizes = {}
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            for kind, (files, memory) in sizes(ground).items():
                known = peaks.get(kind, (0, 0))
                peaks[kind] = (max(known[0], files), max(known[1], memory))
            await asyncio.sleep(1)
    return peaks


def _judge(findings: oracle.Findings, before: Sizes, peaks: Sizes, after: Sizes) -> None:
    for kind, (files, memory) in after.items():
        was = before.get(kind, (files, memory))
        if files > was[0] + FILES or memory > 2 * was[1] + MEGABYTES:
            findings.fault("resources", f"{kind}: {was} open files and MB before, {(files, memory)} after")
    for kind, (_, memory) in peaks.items():
        if memory > PEAK_MB:
            findings.fault("resources", f"{kind} had {memory} MB at its largest")


async def _clear(ground: Ground) -> None:
    """Ends what WhatsApp itself was told to do wrong."""
    for _ in range(60):
        with contextlib.suppress(Exception):
            async with ground.http(timeout=3) as client:
                await client.delete("/api/faults")
                return
        await asyncio.sleep(0.5)
