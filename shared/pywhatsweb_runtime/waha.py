"""People and messages as WAHA's users know them: in its webhooks, and in the gateway's WAHA-compatible answers.

https://waha.devlike.pro/docs/how-to/events/
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.places import STATUS
from pywhatsweb.contracts.statuses import MessageStatus, Origin

_MEDIA: Final = frozenset(("image", "video", "audio", "voice", "document", "sticker"))
ACKS: Final = {
    MessageStatus.FAILED: (-1, "ERROR"),
    MessageStatus.QUEUED: (0, "PENDING"),
    MessageStatus.SENT: (1, "SERVER"),
    MessageStatus.DELIVERED: (2, "DEVICE"),
    MessageStatus.READ: (3, "READ"),
    MessageStatus.PLAYED: (4, "PLAYED"),
}
SESSION_STATUS: Final = {
    "PAIRING_CODE": "SCAN_QR_CODE", "PASSKEY_REQUIRED": "SCAN_QR_CODE", "RECONNECTING": "STARTING",
    "STOPPED": "STOPPED", "STARTING": "STARTING", "SCAN_QR_CODE": "SCAN_QR_CODE", "WORKING": "WORKING",
}  # fmt: skip


def seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())


def waha_id(person: d.Person | d.Chat | None, number: str | None = None) -> str | None:
    """``5511…@c.us``, ``…@lid``, ``…@g.us``, or a place that is posted to: ``status@broadcast``, ``…@newsletter``."""
    if isinstance(person, d.Chat) and person.group is not None:
        return person.group if "@" in person.group else f"{person.group}@g.us"
    pn = number if person is None else person.pn
    if pn is not None:
        return f"{pn.removeprefix('+')}@c.us"
    return f"{person.lid}@lid" if person is not None and person.lid is not None else None


def message_id(chat: str | None, id_: str, *, own: bool) -> str:
    """``true_5511…@c.us_3EB0…``"""
    return f"{'true' if own else 'false'}_{chat}_{id_}"


def is_own(message: d.Message | d.Post) -> bool:
    return message.origin is Origin.OUTBOUND or message.from_self


def message(told: d.Message, own_number: str | None) -> dict[str, Any]:
    """``own_number``: the session's, E.164, when it is known."""
    participant = waha_id(told.from_) if told.chat.group is not None else None
    reply = {"id": told.context.message_id} if told.context and told.context.message_id else None
    return _payload(told, waha_id(told.chat), own_number, participant) | {"replyTo": reply}


def post(told: d.Post, own_number: str | None) -> dict[str, Any]:
    """A status, or what stands in a channel, is a message from there."""
    return _payload(told, place(told), own_number, waha_id(told.from_)) | {"replyTo": None}


def place(told: d.Post) -> str:
    return told.channel or STATUS


def _payload(
    told: d.Message | d.Post, chat: str | None, own_number: str | None, participant: str | None
) -> dict[str, Any]:
    content: Any = msgspec.to_builtins(told.content) if told.content is not None else {}
    own = is_own(told)
    me = waha_id(None, own_number)
    media = told.media
    payload: dict[str, Any] = {
        "id": message_id(chat, told.id, own=own),
        "timestamp": seconds(told.sent_at),
        "from": me if own else chat,
        "fromMe": own,
        "to": chat if own else me,
        "participant": participant,
        "body": _body(content),
        "hasMedia": told.type in _MEDIA,
        "media": None if media is None else {
            "id": media.id, "mimetype": media.mime_type, "filename": media.filename,
        },
        "ack": 1 if own else 2,
        "ackName": "SERVER" if own else "DEVICE",
        "notifyName": told.from_.name,
        "type": told.type,
    }  # fmt: skip
    if told.type in ("location", "poll"):
        payload[told.type] = content
    return payload


def _body(content: Any) -> str:
    """Of a text, or a caption."""
    return (content.get("body") or content.get("caption") or "") if isinstance(content, dict) else ""
