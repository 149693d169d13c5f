"""A tenant's commands, batch by batch: decided, claimed in one transaction, queued in order, told.

The order that keeps "accepted once" through any crash: the claim is committed, then the command is in its queue, then
`accepted` is told, then the batch is acknowledged. A redelivery does it again under the same ids, which the streams
and the record recognise.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import structlog

from pywhatsweb.contracts import queued as queue
from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher import handlers, outcomes, reading
from pywhatsweb_fleet.dispatcher.claims import Claims
from pywhatsweb_fleet.dispatcher.directory import Directory
from pywhatsweb_fleet.dispatcher.intake import Fresh, Settled, Stale
from pywhatsweb_fleet.dispatcher.outcomes import Outcome
from pywhatsweb_fleet.dispatcher.quotas import Quotas
from pywhatsweb_fleet.dispatcher.reading import Job, Raw, Tenant
from pywhatsweb_runtime.bus import QUEUE_FULL, ApiError, Bus
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import PubAck, Publisher

log = structlog.get_logger(__name__)

MESSAGE_TOO_LARGE = 10054
"""JetStream's answer to a message above the stream's or the server's limit."""


class Deps(NamedTuple):
    """What dispatching needs of the process."""

    bus: Bus
    publisher: Publisher
    directory: Directory
    claims: Claims
    metrics: Metrics


class _Step(NamedTuple):
    """A job, and its outcome or the acknowledgement that it waits for."""

    job: Job
    outcome: Outcome | None
    stored: asyncio.Future[PubAck] | None


class Dispatching:
    """Of one tenant; `handle` is the `intake.Handle` of its commands stream."""

    def __init__(self, tenant: TenantId, deps: Deps) -> None:
        self._id = tenant
        self._deps = deps
        self._quotas = Quotas()

    async def handle(self, raws: list[Raw], fresh: Fresh) -> Settled:
        tenant = self._deps.directory.tenants.get(self._id)
        if tenant is None:
            raise Stale  # removed; its streams are about to go
        jobs = [self._read(tenant, raw) for raw in raws]
        await self._admit(tenant, [job for job in jobs if job.refusal is None])
        readable = [job for job in jobs if job.readable]
        verdicts = await self._deps.claims.claim(tenant, readable)
        if not await fresh():
            raise Stale
        refused = {
            job.raw.sequence: job.refusal
            for job, verdict in zip(readable, verdicts, strict=True)
            if job.refusal is not None
        }
        said = {
            job.raw.sequence: handlers.conclude(verdict, job, refused)
            for job, verdict in zip(readable, verdicts, strict=True)
        }
        steps = [await self._route(tenant, job, said.get(job.raw.sequence)) for job in jobs]
        return await self._tell(tenant, steps)

    def _read(self, tenant: Tenant, raw: Raw) -> Job:
        try:
            return reading.read(tenant, raw)
        except Exception:
            # Not for anything that we know of; a command must not be able to stop its tenant.
            log.exception("a command cannot be read", sequence=raw.sequence)
            return reading.unreadable(tenant, raw)

    async def _admit(self, tenant: Tenant, jobs: list[Job]) -> None:
        directory = self._deps.directory
        await directory.refresh(tenant.id, {job.session for job in jobs})
        now_ms, clock = time.time_ns() // 1_000_000, time.monotonic()
        for job in jobs:
            session = directory.session(tenant.id, job.session)
            handlers.admit(tenant, session, job, self._quotas, now_ms=now_ms, clock=clock)

    async def _route(self, tenant: Tenant, job: Job, said: Outcome | None) -> _Step:
        if said is not None:
            return _Step(job, said, None)
        if job.refusal is not None:
            return _Step(job, outcomes.refusal(job), None)
        headers = queue.to_headers(handlers.queued(job, time.time_ns() // 1_000_000))
        stored = await self._deps.publisher.submit(subjects.out(tenant.id, job.session), job.body, headers)
        return _Step(job, None, stored)

    async def _tell(self, tenant: Tenant, steps: list[_Step]) -> Settled:
        """Publishes the outcomes, each once its command is in its queue; gives when all of them are stored."""
        telling: list[asyncio.Future[PubAck]] = []
        full: list[Job] = []
        for job, outcome, stored in steps:
            ended = outcome
            if stored is not None:
                ended = await self._stored(job, stored)
                if ended is None:
                    full.append(job)
                    continue
            if ended is not None:
                await self._say(tenant, job, ended, telling)
        if full:
            await self._deps.claims.refuse(tenant, full)
            for job in full:
                await self._say(tenant, job, outcomes.refusal(job), telling)
        return _all_stored(telling)

    async def _stored(self, job: Job, stored: asyncio.Future[PubAck]) -> Outcome | None:
        """Accepted; None: refused by the queue, and so is the job now."""
        try:
            await stored
        except ApiError as error:
            if error.code == QUEUE_FULL:
                job.refuse(ErrorCode.E_QUEUE_FULL)
            elif error.code == MESSAGE_TOO_LARGE:
                job.refuse(ErrorCode.E_BODY_TOO_LARGE)
            else:
                raise
            return None
        self._deps.metrics.command_wait.observe(max(0.0, time.time() - job.raw.stored_ms / 1000))
        return Outcome(MessageStatus.ACCEPTED, message_id=job.message_id)

    async def _say(
        self, tenant: Tenant, job: Job, outcome: Outcome, telling: list[asyncio.Future[PubAck]]
    ) -> None:
        letters = [outcomes.of_job(tenant, job, outcome)]
        if job.refusal in (ErrorCode.E_MALFORMED_BODY, ErrorCode.E_INTERNAL):
            letters.append(outcomes.dead_letter(tenant, job))
        telling.extend([await self._deps.publisher.submit(*letter) for letter in letters])
        self._deps.metrics.commands.labels(_label(outcome), outcome.error.code if outcome.error else "").inc()


def _label(outcome: Outcome) -> str:
    return "duplicate" if outcome.duplicate else str(outcome.status)


async def _all_stored(telling: list[asyncio.Future[PubAck]]) -> None:
    for told in telling:
        await told
