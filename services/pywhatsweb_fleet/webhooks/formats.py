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
from pywhatsweb_runtime import waha
from pywhatsweb_runtime.waha import ACKS, SESSION_STATUS, message_id, seconds, waha_id

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


def _content(message: d.Contents) -> Any:
    return msgspec.to_builtins(message.content) if message.content is not None else {}


# WAHA.


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


def _waha_message(event: events.MessageEvent, own_number: str | None) -> tuple[str, dict[str, Any]]:
    kind = "message.any" if waha.is_own(event.data) else "message"
    return kind, waha.message(event.data, own_number)


def _waha_status(event: events.StatusEvent, own_number: str | None) -> tuple[str, dict[str, Any]] | None:
    status = event.data
    if status.status not in ACKS or status.chat is None:
        return None
    ack, name = ACKS[status.status]
    chat = waha_id(status.chat)
    payload = {
        "id": message_id(chat, status.message_id or "", own=True),
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
        "id": message_id(chat, reaction.id, own=own),
        "timestamp": seconds(reaction.sent_at),
        "from": waha_id(None, own_number) if own else chat,
        "fromMe": own,
        "participant": waha_id(reaction.from_) if reaction.chat.group is not None else None,
        "reaction": {"text": reaction.emoji, "messageId": reaction.message_id},
    }
    return "message.reaction", payload


def _waha_deleted(event: events.DeleteEvent, _: str | None) -> tuple[str, dict[str, Any]]:
    return _waha_revoked(waha_id(event.data.chat), event.data, event.data.from_self)


def _waha_revoked(chat: str | None, deleted: d.Deleted | d.Post, own: bool) -> tuple[str, dict[str, Any]]:
    after = {
        "id": message_id(chat, deleted.id, own=own),
        "timestamp": seconds(deleted.sent_at),
        "fromMe": own,
    }
    return "message.revoked", {"after": after, "before": None, "revokedMessageId": deleted.message_id}


def _waha_post(event: events.PostEvent, own_number: str | None) -> tuple[str, dict[str, Any]] | None:
    post, own = event.data, waha.is_own(event.data)
    if post.type == "deleted":
        return _waha_revoked(waha.place(post), post, own)
    if post.message_id is not None:  # a correction, for which it has no word
        return None
    return "message.any" if own else "message", waha.post(post, own_number)


def _waha_session(event: events.SessionEvent, _: str | None) -> tuple[str, dict[str, Any]]:
    name = str(event.data.status)
    return "session.status", {"name": event.session_id, "status": SESSION_STATUS.get(name, "FAILED")}


_WAHA_EVENTS: Final[dict[type, Callable[[Any, str | None], tuple[str, dict[str, Any]] | None]]] = {
    events.MessageEvent: _waha_message,
    events.StatusEvent: _waha_status,
    events.ReactionEvent: _waha_reaction,
    events.DeleteEvent: _waha_deleted,
    events.SessionEvent: _waha_session,
    events.PostEvent: _waha_post,
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
    told: dict[str, Any] = {"from": sender, "id": message.id, "timestamp": str(seconds(message.sent_at))}
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
        "timestamp": str(seconds(status.at or event.timestamp)),
        "recipient_id": _wa_id(status.chat),
    }
    if status.error is not None:
        told["errors"] = [
            {"code": status.error.http_status, "title": status.error.code, "message": status.error.message}
        ]
    return {"statuses": [told]}
