"""Outcome events of commands, as the session's owner tells them."""

from __future__ import annotations

import asyncio
from typing import Any

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.events import MessageStatus
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.errors import ErrorCode, error_struct
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_runtime.bus import Stored
from pywhatsweb_runtime.publisher import PubAck, Publisher


def error_of(code: str | None, detail: str = "") -> Any:
    """The wire's error for a catalogue code; one that the catalogue does not have becomes E_INTERNAL."""
    if code is None:
        return None
    try:
        known = ErrorCode[code]
    except KeyError:
        known = ErrorCode.E_INTERNAL
    return error_struct(known, {"detail": detail} if detail else None)


async def submit_status(
    events: FencedEvents,
    queued: Queued,
    status: str,
    code: str | None = None,
    *,
    detail: str = "",
    at: str | None = None,
    message_id: str | None = None,
) -> asyncio.Future[PubAck]:
    """One `status` event of a command; a repeat of the same step has the same id and is dropped by the stream."""
    recipient = recipient_of(queued)
    data = d.Status(
        command_id=queued.command_id,
        message_id=message_id or queued.message_id or None,
        status=MessageStatus(status),
        error=error_of(code, detail),
        chat=d.Chat(key=queued.chat, **recipient) if recipient else None,
        at=at,
    )
    return await events.submit(
        "status",
        data,
        chat=queued.chat,
        event_id=events.stable_id("status", queued.command_id, status),
        correlation_id=queued.correlation_id or None,
        causation_id=queued.command_id,
    )


async def submit_dead_letter(
    publisher: Publisher,
    events: FencedEvents,
    stored: Stored,
    queued: Queued | None,
    *,
    code: str,
    attempts: int,
) -> asyncio.Future[PubAck]:
    """Sets a command aside with its reason: its last try failed, though another might not.

    The headers are those of the dispatcher's dead letters. One is kept a command, whoever sets it aside.
    """
    name = queued.digest if queued is not None else str(stored.sequence)
    verb = queued.verb if queued is not None else "send"
    headers = {
        "Nats-Msg-Id": events.stable_id("deadletter", name),
        "Pww-Code": code,
        "Pww-Subject": subjects.command(events.tenant, events.session, verb),
        "Pww-Sequence": str(stored.sequence),
        "Pww-Attempts": str(attempts),
        "Pww-Worker-Epoch": str(events.epoch),
    }
    if queued is not None:
        headers["Pww-Command-Id"] = queued.command_id
    subject = subjects.deadletter(events.tenant, events.session, "command")
    return await publisher.submit(subject, stored.data, headers)


def recipient_of(queued: Queued) -> dict[str, str]:
    """``{"pn": "+55…"}``, ``{"lid": …}``, ``{"group": …}`` or nothing."""
    kind, separator, value = queued.recipient.partition(":")
    return {kind: value} if separator else {}
