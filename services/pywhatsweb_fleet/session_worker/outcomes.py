"""Outcome events of commands, as the session's owner tells them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pywhatsweb.contracts import deadletters, subjects
from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import MessageStatus, timestamp
from pywhatsweb.contracts.ids import EventId
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.errors import ErrorCode, error_struct
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_runtime import deadletters as setting_aside
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
        inbox_id=queued.inbox or None,
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
) -> list[asyncio.Future[PubAck]]:
    """Sets a command aside with its reason: its last try failed, though another might not. One letter a command."""
    name = queued.digest if queued is not None else str(stored.sequence)
    letter = deadletters.Letter(
        id=EventId(events.stable_id("deadletter", name)),
        kind=deadletters.COMMAND,
        session=events.session,
        code=code,
        subject=subjects.command(
            events.tenant, events.session, queued.verb if queued is not None else "send"
        ),
        sequence=stored.sequence,
        at=time.time_ns() // 1_000_000,
        chat=queued.chat if queued is not None else subjects.NO_CHAT,
        attempts=attempts,
        command_id=queued.command_id if queued is not None else "",
    )
    return [
        await publisher.submit(*setting_aside.letter(events.tenant, letter, stored.data)),
        await events.submit(
            "deadletter",
            deadletters.told(letter, timestamp(letter.at)),
            chat=letter.chat,
            event_id=deadletters.event_id(events.key, letter),
            correlation_id=(queued.correlation_id or None) if queued is not None else None,
            causation_id=letter.command_id or None,
        ),
    ]


def recipient_of(queued: Queued) -> dict[str, str]:
    """``{"pn": "+55…"}``, ``{"lid": …}``, ``{"group": …}`` or nothing."""
    kind, separator, value = queued.recipient.partition(":")
    return {kind: value} if separator else {}
