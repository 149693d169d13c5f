"""The fleet's events as 0.5's: a name and a flat dict, as its handlers take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events as e
from pywhatsweb.contracts.statuses import MessageStatus, Origin, SessionStatus


class Told(NamedTuple):
    name: str
    data: dict[str, Any]


def translate(event: e.AnyEvent) -> Iterator[Told]:
    """What 0.5 would have told; other events come under their own names, with their data."""
    base = {
        "session_id": event.session_id,
        "tenant_id": event.tenant_id,
        "timestamp": event.timestamp,
        "trace_id": event.trace_id,
        "correlationId": event.correlation_id,
    }
    if isinstance(event, e.QrEvent):
        qr = event.data
        yield Told(
            "qr",
            base
            | {
                "qr": qr.image or qr.code,
                "code": qr.code,
                "expires_at": qr.expires_at,
                "attempt": qr.attempt,
            },
        )
    elif isinstance(event, e.SessionEvent):
        yield from _session(event.data, base)
    elif isinstance(event, e.MessageEvent):
        yield from _message(event.data, base)
    elif isinstance(event, e.StatusEvent):
        yield Told("message_status", base | _status(event.data))
    else:
        yield Told(e.event_type(event), base | msgspec.to_builtins(event.data))


def _session(state: d.SessionState, base: dict[str, Any]) -> Iterator[Told]:
    error = state.error.code if state.error is not None else None
    data = base | {
        "status": state.status.legacy,
        "fleet_status": state.status.value,
        "reason": state.reason or error or state.status.value.lower(),
        "error_code": error,
        "error": state.error.message if state.error is not None else None,
        "phone_number": state.phone_number,
        "name": state.name,
    }
    match state.status:
        case SessionStatus.WORKING:
            if state.previous is not SessionStatus.RECONNECTING:
                yield Told("authenticated", data)
            yield Told("ready", data)
        case SessionStatus.STARTING:
            yield Told("connecting", data)
        case SessionStatus.RECONNECTING:
            yield Told("disconnected", data)
            yield Told("connecting", data)
        case SessionStatus.STOPPED | SessionStatus.LOGGED_OUT | SessionStatus.REPLACED:
            yield Told("disconnected", data)
        case SessionStatus.FAILED | SessionStatus.BANNED:
            yield Told("error", data)
            yield Told("disconnected", data)


def _message(message: d.Message, base: dict[str, Any]) -> Iterator[Told]:
    content = message.content
    sender, chat = address(message.from_), address(message.chat)
    group = message.chat.group is not None
    data = base | {
        "id": message.id,
        "body": getattr(content, "body", None) or getattr(content, "caption", None) or "",
        # As in 0.5: what one answers to. In a group that is the group, and `author` wrote it.
        "from": chat if group else sender,
        "author": sender,
        "to": None if group or message.from_self is False else chat,
        "name": message.from_.name,
        "type": message.type,
        "origin": message.origin.value,
        "fromSelf": message.from_self,
        "from_self": message.from_self,
        "is_group": group,
        "chat": chat,
        "chat_key": message.chat.key,
        "content": None if content is None else msgspec.to_builtins(content),
        "media": None if message.media is None else msgspec.to_builtins(message.media),
        "quoted_id": message.context.message_id if message.context is not None else None,
        "sent_at": message.sent_at,
        "history": message.history,
    }
    if message.origin is Origin.INBOUND and not message.from_self and not message.history:
        yield Told("message", data)
    yield Told("message_create", data)


def address(who: d.Person | d.Chat) -> str:
    """What `send_text` takes: the number, else the group or the LID."""
    group = getattr(who, "group", None)
    if group:
        return f"{group}@g.us"
    return who.pn or (f"lid:{who.lid}" if who.lid else "")


def _status(status: d.Status) -> dict[str, Any]:
    return {
        "message_id": status.command_id or status.message_id,
        "whatsapp_id": status.message_id,
        "status": MessageStatus(status.status).legacy,
        "fleet_status": status.status.value,
        "error": status.error.message if status.error is not None else None,
        "error_code": status.error.code if status.error is not None else None,
        "duplicate": status.duplicate,
        "metadata": status.metadata,
    }
