"""What a publisher learns: status events, and dead letters for bodies that nobody can read."""

from __future__ import annotations

from typing import Any, NamedTuple

from pywhatsweb.contracts import codec, events, ids, subjects
from pywhatsweb.contracts.event_data import Chat, Status
from pywhatsweb.contracts.ids import ChatKey, CommandId, SessionId
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorBody, ErrorCode, error_struct
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant


class Letter(NamedTuple):
    """A message to be published."""

    subject: str
    body: bytes
    headers: dict[str, str]


class Outcome(NamedTuple):
    """What is said of a command, beside what the job says itself."""

    status: MessageStatus
    error: ErrorBody | None = None
    duplicate: bool = False
    message_id: str | None = None


def of_job(tenant: Tenant, job: Job, outcome: Outcome) -> Letter:
    return status(
        tenant,
        job.session,
        job.command_id,
        outcome,
        cause=f"{job.origin}{job.raw.sequence}",
        chat=job.chat,
        chat_key=job.chat_key,
        correlation_id=job.correlation_id,
        metadata=job.metadata,
    )


def of_queued(tenant: Tenant, session: SessionId, queued: Queued, outcome: Outcome) -> Letter:
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
    metadata: dict[str, Any] | None = None,
) -> Letter:
    """A status event; ``cause`` tells what it came of, so that its id is the same each time that is dealt with."""
    event = events.StatusEvent(
        id=ids.stable_event_id(tenant.key, "status", session, command_id, outcome.status, cause),
        tenant_id=tenant.id,
        session_id=session,
        timestamp=events.timestamp(),
        correlation_id=correlation_id,
        data=Status(
            command_id=command_id,
            message_id=outcome.message_id,
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
    return Letter(subject, codec.encode(event, tenant.form), headers)


def dead_letter(tenant: Tenant, job: Job) -> Letter:
    """The message as it came, set aside with the reason."""
    headers = {
        "Nats-Msg-Id": ids.stable_event_id(tenant.key, "deadletter", job.session, str(job.raw.sequence)),
        "Pww-Code": (job.refusal or ErrorCode.E_INTERNAL).wire,
        "Pww-Subject": job.raw.subject,
        "Pww-Sequence": str(job.raw.sequence),
        "Pww-Command-Id": job.command_id,
    }
    return Letter(subjects.deadletter(tenant.id, job.session, "command"), job.raw.body, headers)
