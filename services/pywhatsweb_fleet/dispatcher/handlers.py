"""What is decided about a command: plain functions of the job, the tenant and what is known now."""

from __future__ import annotations

from collections.abc import Mapping

from pywhatsweb.contracts.queued import Queued
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorBody, ErrorCode, error_struct
from pywhatsweb_fleet.dispatcher.claims import Verdict
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.outcomes import Outcome
from pywhatsweb_fleet.dispatcher.quotas import Quotas
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_fleet.storage.idempotency import Claimed
from pywhatsweb_runtime.registry import SessionRecord

UNSENT = frozenset((MessageStatus.REJECTED, MessageStatus.EXPIRED, MessageStatus.CANCELLED))


def refuse_early(tenant: Tenant, session: SessionRecord | None, job: Job, now_ms: int) -> bool:
    """Refuses a job that the tenant's or session's state, or the clock, does not allow; whether it did."""
    if tenant.record.suspended:
        job.refuse(ErrorCode.E_TENANT_SUSPENDED)
    elif session is None or session.wanted == "deleting":
        job.refuse(ErrorCode.E_SESSION_NOT_FOUND)
    elif session.wanted != "running" and job.verb != "cancel":
        # A cancel concerns what waits already, and a stopped session's queue waits.
        job.refuse(ErrorCode.E_SESSION_STOPPED)
    elif job.expires_ms and job.expires_ms <= now_ms:
        job.refuse(ErrorCode.E_EXPIRED)
    if job.refusal in (ErrorCode.E_TENANT_SUSPENDED, ErrorCode.E_SESSION_NOT_FOUND):
        job.readable = (
            False  # keeps no record: whoever may not send, or sends to nobody, cannot fill the database
        )
    return job.refusal is not None


def refuse_incapable(session: SessionRecord | None, job: Job, engines: Engines) -> bool:
    """Whether it is refused because the session's engine cannot do it."""
    lacking = engines.lacks(session.engine, job.needs) if session is not None else None
    if session is None or lacking is None:
        return False
    job.refuse(ErrorCode.E_UNSUPPORTED_TYPE, {"engine": session.engine, "kind": lacking})
    return True


def admit(
    tenant: Tenant,
    session: SessionRecord | None,
    job: Job,
    engines: Engines,
    quotas: Quotas,
    *,
    now_ms: int,
    clock: float,
) -> None:
    """`refuse_early`, then what the engine cannot do, then the quotas. ``clock``: monotonic seconds."""
    if refuse_early(tenant, session, job, now_ms):
        return
    if refuse_incapable(session, job, engines):
        return
    missing = quotas.wait(tenant.record, job.session, clock)
    if missing:
        job.refuse(ErrorCode.E_RATE_LIMITED, {"retry_after_ms": int(missing * 1000) + 1})


def conclude(verdict: Verdict, job: Job, refused: Mapping[int, ErrorCode]) -> Outcome | None:
    """The outcome that the durable record gives at once; None: the job goes on (or ends by its own refusal).

    ``refused``: the refusals of this batch, by sequence. A command that was claimed before and delivered again ends as
    its record says, else it goes on as the first time: what it is refused for now had not happened then.
    """
    if isinstance(verdict, Claimed):
        if not verdict.redelivered:
            return None
        known = MessageStatus(verdict.status)
        if known in UNSENT:
            return Outcome(known, _error(verdict.error), message_id=verdict.message_id)
        job.refusal = None
        job.redelivered = True
        return (
            None
            if known is MessageStatus.ACCEPTED
            else Outcome(MessageStatus.ACCEPTED, message_id=job.message_id)
        )
    if not verdict.same_body:
        job.refuse(ErrorCode.E_DUPLICATE_ID)
        return Outcome(MessageStatus.REJECTED, error_struct(ErrorCode.E_DUPLICATE_ID))
    if (code := refused.get(verdict.command_seq)) is not None:
        ended = MessageStatus.EXPIRED if code is ErrorCode.E_EXPIRED else MessageStatus.REJECTED
        return Outcome(ended, error_struct(code), duplicate=True)
    return Outcome(
        MessageStatus(verdict.status), _error(verdict.error), duplicate=True, message_id=verdict.message_id
    )


def _error(code: str | None) -> ErrorBody | None:
    return error_struct(ErrorCode.from_wire(code)) if code else None


def queued(job: Job, now_ms: int, traceparent: str = "") -> Queued:
    """What the session worker is told beside the body."""
    return Queued(
        verb=job.verb,
        command_id=job.command_id,
        digest=job.digest,
        message_id=job.message_id,
        recipient=job.recipient,
        chat=job.chat_key,
        accepted_at=now_ms,
        expires_at=job.expires_ms,
        correlation_id=job.correlation_id or "",
        target=job.target,
        traceparent=traceparent,
        inbox=job.inbox,
    )
