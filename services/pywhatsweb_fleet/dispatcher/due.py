"""Scheduled commands whose time has come: looked at once more, then queued. Also an `intake.Handle`."""

from __future__ import annotations

import time

import msgspec
import structlog

from pywhatsweb.contracts import codec, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher import handlers, outcomes, recovery, schedules
from pywhatsweb_fleet.dispatcher.intake import Dispatch, Fresh, Settled, Stale
from pywhatsweb_fleet.dispatcher.outcomes import Outcome
from pywhatsweb_fleet.dispatcher.reading import Job, Raw, Tenant
from pywhatsweb_fleet.dispatcher.telling import Deps, Step, enqueue, tell

log = structlog.get_logger(__name__)


class _Said(msgspec.Struct):
    metadata: dict[str, object] = {}
    purpose: str = "service"


class Due:
    """Of one tenant."""

    def __init__(self, tenant: TenantId, deps: Deps) -> None:
        self._id = tenant
        self._deps = deps

    async def handle(self, raws: list[Raw]) -> Dispatch:
        tenant = self._deps.directory.tenants.get(self._id)
        if tenant is None:
            raise Stale
        jobs = [job for job in (_read(raw) for raw in raws) if job is not None]
        directory = self._deps.directory
        await directory.refresh(tenant.id, {job.session for job in jobs})
        now_ms = time.time_ns() // 1_000_000
        for job in jobs:
            handlers.refuse_early(tenant, directory.session(tenant.id, job.session), job, now_ms)
        await self._deps.holds.refuse(tenant, jobs, now_ms)
        await self._deps.claims.heed_opt_outs(tenant, jobs, now_ms)

        async def dispatch(fresh: Fresh) -> Settled:
            if not await fresh():
                raise Stale
            if refused := [job for job in jobs if job.refusal is not None]:
                await self._deps.claims.refuse(tenant, refused)
            steps = [await self._route(tenant, job) for job in jobs]
            return await tell(self._deps, tenant, steps, MessageStatus.QUEUED)

        return dispatch

    async def _route(self, tenant: Tenant, job: Job) -> Step:
        if job.refusal is not None:
            return Step(job, outcomes.refusal(job))
        if job.raw.deliveries > 1 and await recovery.was_queued(self._deps.bus, tenant, job):
            return Step(job, Outcome(MessageStatus.QUEUED, message_id=job.message_id))
        return await enqueue(self._deps, tenant, job)


def _read(raw: Raw) -> Job | None:
    """The job as it was when it was scheduled. None for what no dispatcher has written."""
    parts = subjects.parse_due(raw.subject)
    queued = schedules.read_due(raw.headers)
    if parts is None or queued is None:
        log.error("a due message is not of our making; it is left out", sequence=raw.sequence)
        return None
    job = Job(raw, SessionId(parts.session), parts.verb, origin="due")
    job.command_id, job.digest, job.message_id = queued.command_id, queued.digest, queued.message_id
    job.recipient, job.chat_key, job.chat = queued.recipient, queued.chat, outcomes.chat_of(queued)
    job.correlation_id = queued.correlation_id or None
    job.expires_ms, job.inbox = queued.expires_at, queued.inbox
    try:
        said: _Said = codec.decode(raw.body, _Said)
        job.metadata, job.marketing = said.metadata, said.purpose == "marketing"
    except (msgspec.MsgspecError, ValueError):
        job.refuse(ErrorCode.E_MALFORMED_BODY)
    return job
