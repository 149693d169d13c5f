"""A tenant's commands, batch by batch: decided, claimed in one transaction, queued in order, told.

The order that keeps "accepted once" through any crash: the claim is committed, `accepted` is told, the command is in
its queue, then the batch is acknowledged; where the queue may be full, it has the command before `accepted` is told. A
redelivery does it again under the same ids, which the streams and the record recognise.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import CommandId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.contracts.subjects import NO_SESSION
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher import handlers, outcomes, reading, recovery
from pywhatsweb_fleet.dispatcher.allowances import Firsts
from pywhatsweb_fleet.dispatcher.intake import Dispatch, Fresh, Settled, Stale
from pywhatsweb_fleet.dispatcher.outcomes import Outcome
from pywhatsweb_fleet.dispatcher.quotas import Quotas, penalty_s
from pywhatsweb_fleet.dispatcher.reading import Job, Raw, Tenant
from pywhatsweb_fleet.dispatcher.rooms import Rooms
from pywhatsweb_fleet.dispatcher.schedules import Schedules
from pywhatsweb_fleet.dispatcher.telling import Deps, Step, announce, enqueue, tell
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)


class Dispatching:
    """Of one tenant; `handle` is the `intake.Handle` of its commands stream."""

    def __init__(self, tenant: TenantId, deps: Deps) -> None:
        self._id = tenant
        self._deps = deps
        self._quotas = Quotas()
        self._schedules = Schedules(deps.bus, deps.publisher)
        self._rooms = Rooms(deps.bus)

    async def handle(self, raws: list[Raw]) -> Dispatch:
        tenant = self._deps.directory.tenants.get(self._id)
        if tenant is None:
            raise Stale  # removed; its streams are about to go
        jobs = [self._read(tenant, raw) for raw in raws]
        await self._deps.inboxes.place(tenant, jobs)
        firsts = await self._admit(tenant, [job for job in jobs if job.refusal is None])
        await self._render(tenant, [job for job in jobs if job.readable])
        readable = [job for job in jobs if job.readable]
        verdicts = await self._deps.claims.claim(tenant, readable, firsts)
        refused = {job.raw.sequence: job.refusal for job in readable if job.refusal is not None}
        said = {
            job.raw.sequence: handlers.conclude(verdict, job, refused)
            for job, verdict in zip(readable, verdicts, strict=True)
        }

        async def dispatch(fresh: Fresh) -> Settled:
            if not await fresh():
                raise Stale
            steps: list[Step] = []
            sure = await self._announce(tenant, [job for job in jobs if said.get(job.raw.sequence) is None])
            for job in jobs:
                told = sure.get(job.raw.sequence)
                steps.append(await self._route(tenant, job, said.get(job.raw.sequence), steps, told))
            return await tell(self._deps, tenant, steps, MessageStatus.ACCEPTED)

        return dispatch

    def _read(self, tenant: Tenant, raw: Raw) -> Job:
        try:
            return reading.read(tenant, raw)
        except Exception:
            # Not for anything that we know of; a command must not be able to stop its tenant.
            log.exception("a command cannot be read", sequence=raw.sequence)
            return reading.unreadable(tenant, raw)

    async def _admit(self, tenant: Tenant, jobs: list[Job]) -> Firsts:
        """Refuses what may not go on; what of the others is written for the first time."""
        directory = self._deps.directory
        await directory.refresh(tenant.id, {job.session for job in jobs})
        await self._doubt(tenant, jobs)
        now_ms, clock = time.time_ns() // 1_000_000, time.monotonic()
        for job in jobs:
            session = directory.session(tenant.id, job.session)
            handlers.admit(tenant, session, job, self._deps.engines, self._quotas, now_ms=now_ms, clock=clock)
        await self._deps.holds.refuse(tenant, jobs, now_ms)
        firsts = await self._deps.allowances.refuse(tenant, jobs, now_ms)
        # The rest of a flood stays in the tenant's own stream, which refuses its publisher when it is full.
        flood = sum(job.refusal is ErrorCode.E_RATE_LIMITED for job in jobs)
        await asyncio.sleep(penalty_s(tenant.record, flood))
        return firsts

    async def _render(self, tenant: Tenant, jobs: list[Job]) -> None:
        """What a template comes to may need more of an engine than its name."""
        await self._deps.templates.render(tenant, jobs)
        made = [job for job in jobs if job.template is not None and job.refusal is None]
        if not made:
            return
        await self._doubt(tenant, made)
        for job in made:
            session = self._deps.directory.session(tenant.id, job.session)
            handlers.refuse_incapable(session, job, self._deps.engines)

    async def _doubt(self, tenant: Tenant, jobs: list[Job]) -> None:
        """Looks again before one is refused for its engine: a worker that just started may have a newer version."""
        engines, directory = self._deps.engines, self._deps.directory
        for job in jobs:
            session = directory.session(tenant.id, job.session)
            if session is not None and engines.doubtful(session.engine, job.needs):
                await engines.refresh()
                return

    async def _announce(self, tenant: Tenant, jobs: list[Job]) -> dict[int, asyncio.Future[PubAck]]:
        """`accepted` of those that go straight into a queue with room, by their sequences."""
        now_ms = time.time_ns() // 1_000_000
        told: dict[int, asyncio.Future[PubAck]] = {}
        held = None
        straight = [
            job
            for job in jobs
            if job.refusal is None and not (job.redelivered or job.target or job.send_at_ms > now_ms)
        ]
        await self._rooms.look(tenant, Counter(job.session for job in straight))
        for job in straight:
            if self._rooms.take(tenant, job.session):
                held = told[job.raw.sequence] = await announce(self._deps, tenant, job)
        if held is not None and self._deps.publisher.holds_back(
            subjects.event_ingest(tenant.id, NO_SESSION, "status")
        ):
            # They share batches with other events just now: the last one's acknowledgement says that all are stored.
            await held
        return told

    async def _route(
        self,
        tenant: Tenant,
        job: Job,
        said: Outcome | None,
        before: list[Step],
        told: asyncio.Future[PubAck] | None,
    ) -> Step:
        if said is not None:
            return Step(job, said)
        if job.refusal is not None:
            return Step(job, outcomes.refusal(job))
        if job.redelivered and await recovery.was_queued(self._deps.bus, tenant, job):
            return Step(job, Outcome(MessageStatus.ACCEPTED, message_id=job.message_id))
        if job.unrendered is not None:  # it could be, the first time
            return await self._refuse(tenant, job, job.unrendered.code, job.unrendered.details)
        if job.target:
            return await self._cancel(tenant, job, before)
        if job.send_at_ms > time.time_ns() // 1_000_000:
            if await self._schedules.is_full(tenant):
                return await self._refuse(tenant, job, ErrorCode.E_QUEUE_FULL)
            return Step(job, None, await self._schedules.submit(tenant, job))
        return await enqueue(self._deps, tenant, job, told)

    async def _refuse(
        self, tenant: Tenant, job: Job, code: ErrorCode, details: Mapping[str, Any] | None = None
    ) -> Step:
        """A job that is claimed already."""
        job.refuse(code, details)
        await self._deps.claims.refuse(tenant, [job])
        return Step(job, outcomes.refusal(job))

    async def _cancel(self, tenant: Tenant, job: Job, before: list[Step]) -> Step:
        """Takes a scheduled command back, or asks the session's worker to, who alone knows what it has begun."""
        # What is to be cancelled may stand in this very batch.
        await asyncio.gather(
            *(step.stored for step in before if step.stored is not None), return_exceptions=True
        )
        cancelled = await self._schedules.cancel(tenant, job.session, job.target)
        if cancelled is not None:
            target = cancelled.queued
            await self._deps.claims.end(tenant, job.session, target.command_id, MessageStatus.CANCELLED)
            letter = outcomes.of_queued(tenant, job.session, target, Outcome(MessageStatus.CANCELLED))
            return Step(job, Outcome(MessageStatus.ACCEPTED), beside=(letter,))
        known = await self._deps.claims.lookup(tenant.id, CommandId(job.target_id), job.session)
        if known is None:
            return await self._refuse(tenant, job, ErrorCode.E_COMMAND_NOT_FOUND)
        if (
            MessageStatus(known.status).settled and not job.redelivered
        ):  # redelivered: perhaps settled by this cancel
            return await self._refuse(tenant, job, ErrorCode.E_CANCEL_TOO_LATE)
        return await enqueue(self._deps, tenant, job)
