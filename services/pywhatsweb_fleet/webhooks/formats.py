"""An event as the body of a post: ours, WAHA's or that of Meta's Cloud API.

https://waha.devlike.pro/docs/how-to/events/ and
https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from pywhatsweb.contracts import codec, events
from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.statuses import MessageStatus, Origin
from pywhatsweb.contracts.webhook_data import Format

_json = msgspec.json.Encoder().encode
_MEDIA: Final = frozenset(("image", "video", "audio", "voice", "document", "sticker"))


class Body(NamedTuple):
    data: bytes
    headers: dict[str, str]


def render(event: Any, raw: bytes, form: Format, own_number: str | None) -> Body | None:
    """The body of ``event`` (an `events.AnyEvent`), whose bytes in the stream are ``raw``; None when the format has no
    such event. ``own_number``: the session's, E.164, when it is known."""
    if form == "pywhatsweb":
        headers = events.headers(event, "json")
        del headers["Nats-Msg-Id"]
        return Body(raw if codec.form_of(raw) == "json" else codec.encode(event, "json"), headers)
    told = (_waha if form == "waha" else _cloud)(event, own_number)
    return None if told is None else Body(_json(told), {"Content-Type": codec.CONTENT_TYPES["json"]})


def test_event(tenant: str, session: str, event_id: str) -> events.AlertEvent:
    """What ``webhook.test`` posts."""
    alert = d.Alert(kind="webhook_test", details={"hello": "A test of this webhook; nothing happened."})
    return events.AlertEvent(
        id=event_id, tenant_id=tenant, session_id=session, timestamp=events.timestamp(), data=alert
    )


def _seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


def _content(message: d.Contents) -> Any:
    return msgspec.to_builtins(message.content) if message.content is not None else {}


# WAHA.

_ACKS: Final = {
    MessageStatus.FAILED: (-1, "ERROR"),
    MessageStatus.QUEUED: (0, "PENDING"),
    MessageStatus.SENT: (1, "SERVER"),
    MessageStatus.DELIVERED: (2, "DEVICE"),
    MessageStatus.READ: (3, "READ"),
    MessageStatus.PLAYED: (4, "PLAYED"),
}
_WAHA_STATUS: Final = {
    "PAIRING_CODE": "SCAN_QR_CODE", "PASSKEY_REQUIRED": "SCAN_QR_CODE", "RECONNECTING": "STARTING",
    "STOPPED": "STOPPED", "STARTING": "STARTING", "SCAN_QR_CODE": "SCAN_QR_CODE", "WORKING": "WORKING",
}  # fmt: skip


def waha_id(person: d.Person | d.Chat | None, number: str | None = None) -> str | None:
    """``5511…@c.us``, ``…@lid`` or ``…@g.us``."""
    if isinstance(person, d.Chat) and person.group is not None:
        return f"{person.group}@g.us"
    pn = number if person is None else person.pn
    if pn is not None:
        return f"{pn.removeprefix('+')}@c.us"
    return f"{person.lid}@lid" if person is not None and person.lid is not None else None


def _waha(event: Any, own_number: str | None) -> dict[str, Any] | None:
    known = _WAHA_EVENTS.get(type(event))
    told = known(event, own_number) if known is not None else None
    if told is None:
        return None
    kind, payload = told
    me = waha_id(None, own_number)
    return {
        "id": event.id,
        "timestamp": int(datetime.fromisoformat(event.timestamp).timestamp() * 1000),
        "event": kind,
        "session": event.session_id,
        "me": {"id": me, "pushName": None} if me is not None else None,
        "payload": payload,
        "engine": "PYWHATSWEB",
    }


def _waha_message_id(message: Any, own: bool) -> str:
    return f"{'true' if own else 'false'}_{waha_id(message.chat)}_{message.id}"


def _waha_message(event: events.MessageEvent, own_number: str | None) -> tuple[str, dict[str, Any]]:
    message = event.data
    content = _content(message)
    own = message.origin is Origin.OUTBOUND or message.from_self
    chat, me = waha_id(message.chat), waha_id(None, own_number)
    group = message.chat.group is not None
    media = message.media
    payload: dict[str, Any] = {
        "id": _waha_message_id(message, own),
        "timestamp": _seconds(message.sent_at),
        "from": me if own else chat,
        "fromMe": own,
        "to": chat if own else me,
        "participant": waha_id(message.from_) if group else None,
        "body": content.get("body") or content.get("caption") or "",
        "hasMedia": message.type in _MEDIA,
        "media": None if media is None else {
            "id": media.id, "mimetype": media.mime_type, "filename": media.filename,
        },
        "ack": 1 if own else 2,
        "ackName": "SERVER" if own else "DEVICE",
        "replyTo": {"id": message.context.message_id} if message.context and message.context.message_id else None,
        "notifyName": message.from_.name,
        "type": message.type,
    }  # fmt: skip
    if message.type == "location":
        payload["location"] = content
    if message.type == "poll":
        payload["poll"] = content
    return ("message.any" if own else "message"), payload


def _waha_status(event: events.StatusEvent, own_number: str | None) -> tuple[str, dict[str, Any]] | None:
    status = event.data
    if status.status not in _ACKS or status.chat is None:
        return None
    ack, name = _ACKS[status.status]
    chat = waha_id(status.chat)
    payload = {
        "id": f"true_{chat}_{status.message_id}",
        "from": waha_id(None, own_number),
        "to": chat,
        "participant": waha_id(status.by),
        "fromMe": True,
        "ack": ack,
        "ackName": name,
    }
    return "message.ack", payload


def _waha_reaction(event: events.ReactionEvent, own_number: str | None) -> tuple[str, dict[str, Any]]:
    reaction = event.data
    own = reaction.from_self or reaction.origin is Origin.OUTBOUND
    chat = waha_id(reaction.chat)
    payload = {
        "id": _waha_message_id(reaction, own),
        "timestamp": _seconds(reaction.sent_at),
        "from": waha_id(None, own_number) if own else chat,
        "fromMe": own,
        "participant": waha_id(reaction.from_) if reaction.chat.group is not None else None,
        "reaction": {"text": reaction.emoji, "messageId": reaction.message_id},
    }
    return "message.reaction", payload


def _waha_deleted(event: events.DeleteEvent, _: str | None) -> tuple[str, dict[str, Any]]:
    deleted = event.data
    own = deleted.from_self
    after = {"id": _waha_message_id(deleted, own), "timestamp": _seconds(deleted.sent_at), "fromMe": own}
    return "message.revoked", {"after": after, "before": None, "revokedMessageId": deleted.message_id}


def _waha_session(event: events.SessionEvent, _: str | None) -> tuple[str, dict[str, Any]]:
    name = str(event.data.status)
    return "session.status", {"name": event.session_id, "status": _WAHA_STATUS.get(name, "FAILED")}


_WAHA_EVENTS: Final[dict[type, Callable[[Any, str | None], tuple[str, dict[str, Any]] | None]]] = {
    events.MessageEvent: _waha_message,
    events.StatusEvent: _waha_status,
    events.ReactionEvent: _waha_reaction,
    events.DeleteEvent: _waha_deleted,
    events.SessionEvent: _waha_session,
}


# The Cloud API.

_CLOUD_STATUSES: Final = {
    MessageStatus.SENT: "sent", MessageStatus.DELIVERED: "delivered", MessageStatus.READ: "read",
    MessageStatus.PLAYED: "played", MessageStatus.FAILED: "failed", MessageStatus.REJECTED: "failed",
}  # fmt: skip


def _wa_id(person: d.Person | d.Chat) -> str | None:
    return person.pn.removeprefix("+") if person.pn is not None else person.lid


def _cloud(event: Any, own_number: str | None) -> dict[str, Any] | None:
    """`phone_number_id` is the session, as in the gateway's own Cloud API routes."""
    if isinstance(event, events.MessageEvent | events.ReactionEvent):
        told = _cloud_message(event)
    elif isinstance(event, events.StatusEvent):
        told = _cloud_status(event)
    else:
        told = None
    if told is None:
        return None
    metadata = {
        "display_phone_number": (own_number or "").removeprefix("+"),
        "phone_number_id": event.session_id,
    }
    value = {"messaging_product": "whatsapp", "metadata": metadata, **told}
    change = {"value": value, "field": "messages"}
    return {"object": "whatsapp_business_account", "entry": [{"id": event.tenant_id, "changes": [change]}]}


def _cloud_message(event: events.MessageEvent | events.ReactionEvent) -> dict[str, Any] | None:
    message = event.data
    if message.from_self or message.origin is Origin.OUTBOUND:
        return None
    sender = _wa_id(message.from_)
    told: dict[str, Any] = {"from": sender, "id": message.id, "timestamp": str(_seconds(message.sent_at))}
    if isinstance(message, d.Reacted):
        told |= {"type": "reaction", "reaction": {"message_id": message.message_id, "emoji": message.emoji}}
    else:
        told |= _cloud_content(message)
        if (context := message.context) is not None and context.message_id is not None:
            by = None if context.from_ is None else _wa_id(context.from_)
            told["context"] = {"from": by, "id": context.message_id}
    if message.chat.group is not None:
        told["group_id"] = message.chat.group
    return {
        "contacts": [{"profile": {"name": message.from_.name or ""}, "wa_id": sender}],
        "messages": [told],
    }


def _cloud_content(message: d.Message) -> dict[str, Any]:
    kind, content = message.type, _content(message)
    if kind == "voice":
        kind, content = "audio", content | {"voice": True}
    if message.type in _MEDIA and message.media is not None:
        media = message.media
        sha256 = None if media.sha256 is None else base64.b64encode(bytes.fromhex(media.sha256)).decode()
        content |= {"id": media.id, "mime_type": media.mime_type, "sha256": sha256}
        if kind == "document" and media.filename is not None:
            content["filename"] = media.filename
    return {"type": kind, kind: content}


def _cloud_status(event: events.StatusEvent) -> dict[str, Any] | None:
    status = event.data
    name = _CLOUD_STATUSES.get(status.status)
    if name is None or status.chat is None or status.duplicate:
        return None
    told: dict[str, Any] = {
        "id": status.message_id or status.command_id,
        "status": name,
        "timestamp": str(_seconds(status.at or event.timestamp)),
        "recipient_id": _wa_id(status.chat),
    }
    if status.error is not None:
        told["errors"] = [
            {"code": status.error.http_status, "title": status.error.code, "message": status.error.message}
        ]
    return {"statuses": [told]}
