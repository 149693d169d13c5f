"""Setting something aside: the letter into its stream, and the `deadletter` event that tells it.

Both have stable ids, so whoever dies between them, or before its source is acknowledged, does both again.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from pywhatsweb.contracts import codec, deadletters, events, subjects
from pywhatsweb.contracts.deadletters import Letter
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey, stable_event_id
from pywhatsweb_runtime.registry import TenantRecord


class Publication(NamedTuple):
    """What `Publisher.submit` takes."""

    subject: str
    body: bytes
    headers: dict[str, str]


def letter(tenant: TenantId, found: Letter, body: bytes) -> Publication:
    """The letter itself."""
    headers = deadletters.to_headers(found)
    headers["Content-Type"] = codec.CONTENT_TYPES[codec.form_of(body)]
    return Publication(deadletters.subject_of(tenant, found), body, headers)


def event(
    tenant: TenantId, record: TenantRecord, found: Letter, correlation_id: str | None = None
) -> Publication:
    """The event that tells it, for services that own no session: their events are not fenced."""
    told = events.DeadLetterEvent(
        id=deadletters.event_id(TenantKey(record.key), found),
        tenant_id=tenant,
        session_id=found.session,
        timestamp=events.timestamp(),
        correlation_id=correlation_id,
        causation_id=found.command_id or None,
        data=deadletters.told(found, events.timestamp(found.at)),
    )
    headers = events.headers(told, record.events)
    headers["Nats-TTL"] = f"{record.limits.replay_seconds}s"
    subject = subjects.event_ingest(tenant, SessionId(found.session), "deadletter", ChatKey(found.chat))
    return Publication(subject, codec.encode(told, record.events), headers)


def of_event(
    tenant: TenantId,
    record: TenantRecord,
    *,
    reader: str,
    subject: str,
    sequence: int,
    body: bytes,
    code: str,
    reason: str,
) -> list[Publication]:
    """An event that ``reader`` cannot take: its letter and what tells it.

    Of a `deadletter` event that cannot be taken nothing is told: that would never end.
    """
    parsed = subjects.parse_event(subject)
    named = parsed is not None and subjects.valid_name(parsed.session)
    found = Letter(
        id=stable_event_id(TenantKey(record.key), "deadletter", reader, str(sequence)),
        kind=deadletters.EVENT,
        session=parsed.session if parsed is not None and named else subjects.NO_SESSION,
        code=code,
        subject=subject,
        sequence=sequence,
        at=time.time_ns() // 1_000_000,
        chat=parsed.chat if parsed is not None else subjects.NO_CHAT,
        reader=reader,
        reason=reason,
    )
    told = [letter(tenant, found, body)]
    if parsed is None or parsed.kind != "deadletter":
        told.append(event(tenant, record, found))
    return told
