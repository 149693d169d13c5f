"""What a publisher learns: status events, and what is set aside."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from pywhatsweb.contracts import codec, deadletters, events, ids, subjects
from pywhatsweb.contracts.event_data import Chat, Status
from pywhatsweb.contracts.ids import ChatKey, CommandId, SessionId
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorBody, ErrorCode, error_struct
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_runtime import deadletters as setting_aside
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.deadletters import Publication


class Outcome(NamedTuple):
    """What is said of a command, beside what the job says itself."""

    status: MessageStatus
    error: ErrorBody | None = None
    duplicate: bool = False
    message_id: str | None = None


def of_job(tenant: Tenant, job: Job, outcome: Outcome) -> Publication:
    told = status(
        tenant,
        job.session,
        job.command_id,
        outcome,
        cause=f"{job.origin}{job.raw.sequence}",
        chat=job.chat,
        chat_key=job.chat_key,
        correlation_id=job.correlation_id,
        causation_id=job.causation_id,
        metadata=job.metadata,
        inbox=job.inbox,
    )
    if trace := job.traceparent:
        told.headers[tracing.HEADER] = trace
    return told


def of_queued(tenant: Tenant, session: SessionId, queued: Queued, outcome: Outcome) -> Publication:
    """Of a command that is known by what the dispatcher wrote beside it."""
    return status(
        tenant,
        session,
        queued.command_id,
        outcome,
        cause="queued",
        chat=chat_of(queued),
        chat_key=queued.chat,
        correlation_id=queued.correlation_id or None,
        inbox=queued.inbox,
    )


def chat_of(queued: Queued) -> Chat | None:
    kind, _, value = queued.recipient.partition(":")
    if kind not in ("pn", "lid", "group"):
        return None
    return Chat(key=queued.chat, **{kind: value})


def refusal(job: Job) -> Outcome:
    """The end of a job whose `refusal` is set: expired, or rejected with the code."""
    code = job.refusal or ErrorCode.E_INTERNAL
    ended = MessageStatus.EXPIRED if code is ErrorCode.E_EXPIRED else MessageStatus.REJECTED
    return Outcome(ended, error_struct(code, job.details))


def status(
    tenant: Tenant,
    session: SessionId,
    command_id: CommandId,
    outcome: Outcome,
    *,
    cause: str,
    chat: Chat | None = None,
    chat_key: ChatKey = subjects.NO_CHAT,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    inbox: str = "",
) -> Publication:
    """A status event; ``cause`` tells what it came of, so that its id is the same each time that is dealt with."""
    event = events.StatusEvent(
        id=ids.stable_event_id(tenant.key, "status", session, command_id, outcome.status, cause),
        tenant_id=tenant.id,
        session_id=session,
        timestamp=events.timestamp(),
        correlation_id=correlation_id,
        causation_id=causation_id,
        data=Status(
            command_id=command_id,
            message_id=outcome.message_id,
            inbox_id=inbox or None,
            status=outcome.status,
            error=outcome.error,
            duplicate=outcome.duplicate,
            chat=chat,
            metadata=metadata or {},
        ),
    )
    headers = events.headers(event, tenant.form)
    headers["Nats-TTL"] = f"{tenant.record.limits.replay_seconds}s"
    subject = subjects.event_ingest(tenant.id, session, "status", chat_key)
    return Publication(subject, codec.encode(event, tenant.form), headers)


SET_ASIDE = (ErrorCode.E_MALFORMED_BODY, ErrorCode.E_INTERNAL)
"""Refusals of what could not be read at all."""


def is_set_aside(job: Job, outcome: Outcome) -> bool:
    """Whether the body is kept: nobody could read it, or an operator had put it back and it is refused still."""
    if job.refusal in SET_ASIDE:
        return True
    put_back = deadletters.REDRIVEN in job.raw.headers
    return put_back and outcome.status is MessageStatus.REJECTED and not outcome.duplicate


def dead_letter(tenant: Tenant, job: Job, outcome: Outcome) -> list[Publication]:
    """The message as it came, with the reason, and the event that tells it."""
    raw = job.raw
    code = outcome.error.code if outcome.error is not None else ErrorCode.E_INTERNAL.wire
    named = job.session != subjects.NO_SESSION and job.verb
    letter = deadletters.Letter(
        id=ids.stable_event_id(tenant.key, "deadletter", job.session, f"{job.origin}{raw.sequence}"),
        kind=deadletters.COMMAND,
        session=job.session,
        code=code,
        subject=subjects.command(tenant.id, job.session, job.verb) if named else raw.subject,
        sequence=raw.sequence,
        at=time.time_ns() // 1_000_000,
        chat=job.chat_key,
        command_id=job.command_id,
    )
    return [
        setting_aside.letter(tenant.id, letter, raw.body),
        setting_aside.event(tenant.id, tenant.record, letter, job.correlation_id),
    ]
