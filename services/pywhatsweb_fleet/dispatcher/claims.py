"""The durable half of "accepted once": one transaction a batch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher import optouts
from pywhatsweb_fleet.dispatcher.allowances import Firsts
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage import audit, conversation, idempotency, inboxes, usage
from pywhatsweb_fleet.storage.conversation import StatusRow
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.idempotency import Claim, Claimed, Outcome, Record, Repeat
from pywhatsweb_fleet.storage.optouts import Wish, blocked
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.usage import Amount

Verdict = Claimed | Repeat
_NOBODY: Final = Firsts(set(), set())


class Claims:
    """The idempotency records, as the dispatcher uses them. All methods raise StorageUnavailable."""

    def __init__(self, store: Store, keep_ms: int) -> None:
        self._store = store
        self.keep_ms = keep_ms
        """How long a command is remembered after it was, or is to be, sent."""
        self.problem: str | None = None
        """What is wrong with the database, as the last command found it."""

    async def claim(self, tenant: Tenant, jobs: Sequence[Job], firsts: Firsts = _NOBODY) -> list[Verdict]:
        """A verdict each, in their order; the refusals among them are on record as rejected or expired.

        What is claimed is counted as used; ``firsts``: who is written to for the first time. Commands to people who
        opted out are refused here.
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
                expires=max(now, job.send_at_ms) + self.keep_ms,
                message_id=job.message_id,
            )
            for job in jobs
        ]
        refused = {
            place: _refusal(tenant, job, now) for place, job in enumerate(jobs) if job.refusal is not None
        }
        batch = _Batch(tenant, wishes, refused, _meter(tenant, jobs, firsts), optouts.wishes(jobs))
        try:
            verdicts, opted_out = await self._store.transact(_claim, batch)
        except StorageUnavailable:
            self.problem = "the database cannot be written"
            raise
        self.problem = None
        for place in opted_out:
            jobs[place].refuse(ErrorCode.E_CONTACT_OPTED_OUT)
        return verdicts

    async def heed_opt_outs(self, tenant: Tenant, jobs: Sequence[Job], now_ms: int) -> None:
        """Refuses those of claimed jobs that would reach somebody who has opted out meanwhile."""
        wanted = optouts.wishes(jobs)
        if not wanted:
            return
        out = await self._store.read(blocked, tenant.id, tenant.key, [*wanted.values()], now_ms)
        for place, wish in wanted.items():
            if wish in out:
                jobs[place].refuse(ErrorCode.E_CONTACT_OPTED_OUT)

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
        """``session``: or the inbox that it was sent to."""
        return await self._store.read(_lookup, tenant, command_id, session)

    async def history(self, record: Record) -> list[StatusRow]:
        """Every status told of a command that is on record by now, in the order of the telling."""
        return await self._store.read(
            conversation.command_history, record.tenant, record.command_id, record.session
        )


def _lookup(conn: Connection, tenant: str, command_id: str, session: str | None) -> Record | None:
    if session is not None and subjects.valid_inbox(session):
        session = inboxes.placed(conn, tenant, session, command_id) or session
    return idempotency.lookup(conn, tenant, command_id, session)


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
    met_by: tuple[str, str] | None
    """The session and the chat that it writes to for the first time."""


class _Batch(NamedTuple):
    """What is claimed together. ``refused`` and ``writes`` (to whom) by the jobs' places."""

    tenant: Tenant
    wishes: Sequence[Claim]
    refused: Mapping[int, Outcome]
    meters: Sequence[_Meter]
    writes: Mapping[int, Wish]

    def without(self, places: Collection[int]) -> _Batch:
        """As it is when the jobs at these places are refused for an opt-out."""
        now, code = self.wishes[0].at, ErrorCode.E_CONTACT_OPTED_OUT.wire
        more = {
            place: Outcome(claim.tenant, claim.session, claim.command_id, MessageStatus.REJECTED, now, code)
            for place, claim in enumerate(self.wishes)
            if place in places
        }
        meters = [
            meter._replace(what=usage.REFUSED, stranger=None, met_by=None) if place in places else meter
            for place, meter in enumerate(self.meters)
        ]
        return self._replace(refused={**self.refused, **more}, meters=meters)


def _meter(tenant: Tenant, jobs: Sequence[Job], firsts: Firsts) -> list[_Meter]:
    apart = tenant.record.session_commands_per_day > 0
    return [
        _Meter(
            job.session if apart else usage.WHOLE,
            usage.COMMANDS if job.refusal is None else usage.REFUSED,
            job.chat_key if job.refusal is None and job.chat_key in firsts.chats else None,
            pair if job.refusal is None and (pair := (job.session, job.chat_key)) in firsts.pairs else None,
        )
        for job in jobs
    ]


def _claim(conn: Connection, batch: _Batch) -> tuple[list[Verdict], list[int]]:
    """The verdicts, and the places of the jobs that are refused for an opt-out."""
    tenant, now = batch.tenant, batch.wishes[0].at
    out = blocked(conn, tenant.id, tenant.key, [*batch.writes.values()], now)
    opted_out = [place for place, wish in batch.writes.items() if wish in out]
    if opted_out:
        batch = batch.without(opted_out)
    verdicts = idempotency.claim(conn, batch.wishes)
    # Refusals that depend on the moment (a quota, a stopped session) are on record with the claim: a redelivery after
    # a crash then ends as the first try did, although the moment has passed.
    fresh = {
        place
        for place, verdict in enumerate(verdicts)
        if isinstance(verdict, Claimed) and not verdict.redelivered
    }
    idempotency.outcome(conn, [end for place, end in batch.refused.items() if place in fresh])
    first = [meter for place, meter in enumerate(batch.meters) if place in fresh]
    day = usage.day_of(now)
    amounts = [
        Amount(tenant.id, day, session, what, number)
        for (session, what), number in Counter((meter.session, meter.what) for meter in first).items()
    ]
    met = [meter.stranger for meter in first if meter.stranger is not None]
    if met:
        amounts.append(
            Amount(tenant.id, day, usage.WHOLE, usage.NEW_CONTACTS, usage.reach(conn, tenant.id, met, now))
        )
    met_by = [meter.met_by for meter in first if meter.met_by is not None]
    amounts += [
        Amount(tenant.id, day, session, usage.SESSION_NEW_CONTACTS, number)
        for session, number in usage.reach_from(conn, tenant.id, met_by, now).items()
    ]
    usage.add(conn, amounts)
    return verdicts, opted_out
