"""Asks WhatsApp, the broker and the database of a run's fleet what became of everything, until all agree."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from pywhatsweb_runtime.bus import Bus, Stored
from tests.support.chaos import journals, oracle
from tests.support.chaos.ground import Ground
from tests.support.chaos.load import Sender
from tests.support.chaos.plan import Account


class Verdict:
    def __init__(self, ground: Ground, bus: Bus, senders: Mapping[Account, Sender]) -> None:
        self.alerts: Counter[str] = Counter()
        self._ground = ground
        self._bus = bus
        self._senders = senders

    async def settled(self) -> tuple[oracle.Findings, float]:
        """What is found once all is well, or when the plan's time for that is over; and after how many seconds."""
        began = time.monotonic()
        findings = await self.look()
        while findings.faults and time.monotonic() < began + self._ground.plan.settle_s:
            await asyncio.sleep(2)
            findings = await self.look()
        return findings, time.monotonic() - began

    async def look(self) -> oracle.Findings:
        try:
            return await self._look()
        except Exception as error:  # noqa: BLE001 - something is still on its way up
            findings = oracle.Findings()
            findings.fault("cannot_look", f"{type(error).__name__}: {error}")
            return findings

    async def _look(self) -> oracle.Findings:
        plan = self._ground.plan
        findings = oracle.Findings()
        journal = await self._journal()
        inbound: dict[Account, list[str]] = {}
        self.alerts = Counter()
        for tenant in sorted({tenant for tenant, _ in plan.accounts}):
            stored = await oracle.events_of(self._bus, tenant)
            told = oracle.Told(stored, findings)
            self.alerts += told.alerts
            ids = _message_ids(stored) if plan.engine == "simulated" else None
            for at, number in plan.accounts.items():
                if at[0] != tenant:
                    continue
                sender = self._senders[at]
                texts: Mapping[str, str] = sender.texts
                if ids is not None:
                    texts = {command: ids.get((at[1], command), command) for command in texts}
                taken = journal.taken.get(number, journals.Taken([], 0))
                oracle.check_commands(
                    findings,
                    at,
                    sender.accepted,
                    texts,
                    steps=told.steps[at],
                    taken=taken,
                    twice=sender.twice,
                )
                inbound[at] = journal.inbound.get(number, [])
                oracle.check_inbound(findings, at, inbound[at], told.inbound[at], told.asked_again[at])
                if told.statuses[at][-1:] != ["WORKING"]:
                    findings.fault("session", f"{at} ended as {told.statuses[at][-3:]}")
        for name, count in (await oracle.waiting(self._bus, {tenant for tenant, _ in plan.accounts})).items():
            findings.fault("left_over", f"{name} holds {count}")
        await asyncio.to_thread(oracle.check_database, findings, self._ground.database, inbound)
        return findings

    async def _journal(self) -> journals.SandboxJournal | journals.SimulatedJournal:
        if self._ground.whatsapp is None:
            return journals.SimulatedJournal(self._ground.directory / "whatsapp.jsonl")
        async with self._ground.http() as client:
            return await journals.read_sandbox(client)


def _message_ids(stored: list[Stored]) -> dict[tuple[str, str], str]:
    """WhatsApp's ids by session and command: what the simulated journal knows messages by."""
    ids: dict[tuple[str, str], str] = {}
    for one in stored:
        event = oracle.decode(one)
        if event["event"] == "status" and event["data"].get("message_id") and event["data"].get("command_id"):
            ids[event["session_id"], event["data"]["command_id"]] = event["data"]["message_id"]
    return ids
