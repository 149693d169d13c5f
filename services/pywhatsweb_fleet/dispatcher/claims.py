"""The durable half of "accepted once": one transaction a batch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import audit, conversation, idempotency, usage
from pywhatsweb_fleet.storage.conversation import StatusRow
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.idempotency import Claim, Claimed, Outcome, Record, Repeat
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.usage import Amount

Verdict = Claimed | Repeat


class Claims:
    """The idempotency records, as the dispatcher uses them. All methods raise StorageUnavailable."""

    def __init__(self, store: Store, keep_ms: int) -> None:
        self._store = store
        self._keep_ms = keep_ms
        self.problem: str | None = None
        """What is wrong with the database, as the last command found it."""

    async def claim(
        self, tenant: Tenant, jobs: Sequence[Job], strangers: Collection[str] = ()
    ) -> list[Verdict]:
        """A verdict each, in their order; the refusals among them are on record as rejected or expired.

        What is claimed is counted as used; ``strangers``: chats that are written to for the first time.
        """
        if not jobs:
            return []
        now = time.time_ns() // 1_000_000
        wishes = [
            Claim(
                tenant=tenant.id,
                session=job.session,
                command_id=job.command_id,
                digest=job.fingerprint,
                command_seq=job.raw.sequence,
                at=now,
                expires=max(now, job.send_at_ms) + self._keep_ms,
                message_id=job.message_id,
            )
            for job in jobs
        ]
        refused = [
            (place, _refusal(tenant, job, now)) for place, job in enumerate(jobs) if job.refusal is not None
        ]
        try:
            verdicts = await self._store.transact(_claim, wishes, refused, _meter(tenant, jobs, strangers))
        except StorageUnavailable:
            self.problem = "the database cannot be written"
            raise
        self.problem = None
        return verdicts

    async def refuse(self, tenant: Tenant, jobs: Sequence[Job]) -> None:
        """Claimed jobs were refused after all (the queue was full)."""
        now = time.time_ns() // 1_000_000
        await self._store.transact(idempotency.outcome, [_refusal(tenant, job, now) for job in jobs])

    async def end(self, tenant: Tenant, session: str, command_id: str, status: MessageStatus) -> None:
        """Another command's end, brought about by a job."""
        step = Outcome(tenant.id, session, command_id, status, time.time_ns() // 1_000_000)
        await self._store.transact(idempotency.outcome, [step])

    async def note(self, entry: audit.Entry) -> None:
        """Somebody decided over a command: on record in the audit trail."""
        await self._store.transact(audit.append, entry)

    async def lookup(self, tenant: str, command_id: str, session: str | None) -> Record | None:
        return await self._store.read(idempotency.lookup, tenant, command_id, session)

    async def history(self, record: Record) -> list[StatusRow]:
        """Every status told of a command that is on record by now, in the order of the telling."""
        return await self._store.read(
            conversation.command_history, record.tenant, record.command_id, record.session
        )


def _refusal(tenant: Tenant, job: Job, now: int) -> Outcome:
    code = job.refusal
    status = (
        MessageStatus.EXPIRED if code is not None and code.wire == "E_EXPIRED" else MessageStatus.REJECTED
    )
    return Outcome(
        tenant.id, job.session, job.command_id, status, now, code.wire if code is not None else None
    )


class _Meter(NamedTuple):
    """What a job counts as, if its claim is the first."""

    session: str
    what: str
    stranger: str | None


def _meter(tenant: Tenant, jobs: Sequence[Job], strangers: Collection[str]) -> list[_Meter]:
    apart = tenant.record.session_commands_per_day > 0
    return [
        _Meter(
            job.session if apart else usage.WHOLE,
            usage.COMMANDS if job.refusal is None else usage.REFUSED,
            job.chat_key if job.refusal is None and job.chat_key in strangers else None,
        )
        for job in jobs
    ]


def _claim(
    conn: Connection,
    wishes: Sequence[Claim],
    refused: Sequence[tuple[int, Outcome]],
    meters: Sequence[_Meter],
) -> list[Verdict]:
    verdicts = idempotency.claim(conn, wishes)
    # Refusals that depend on the moment (a quota, a stopped session) are on record with the claim: a redelivery after
    # a crash then ends as the first try did, although the moment has passed.
    news = [end for place, end in refused if isinstance(verdicts[place], Claimed)]
    idempotency.outcome(conn, news)
    first = [
        meter
        for verdict, meter in zip(verdicts, meters, strict=True)
        if isinstance(verdict, Claimed) and not verdict.redelivered
    ]
    tenant, now = wishes[0].tenant, wishes[0].at
    day = usage.day_of(now)
    amounts = [
        Amount(tenant, day, session, what, number)
        for (session, what), number in Counter((meter.session, meter.what) for meter in first).items()
    ]
    met = [meter.stranger for meter in first if meter.stranger is not None]
    if met:
        amounts.append(
            Amount(tenant, day, usage.WHOLE, usage.NEW_CONTACTS, usage.reach(conn, tenant, met, now))
        )
    usage.add(conn, amounts)
    return verdicts
