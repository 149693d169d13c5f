"""Writes the golden bytes: for each command and event type one body in MessagePack and in JSON.

Run it after a field was added, and read the difference: a changed line of an old file breaks users.

    PYTHONPATH=shared:. python -m tests.contract.make_golden

Python and JavaScript rewrite each file byte for byte. So the values avoid what JavaScript cannot tell apart: a float
is never integral (1.0 and 1 are one number there), no integer is beyond 2^53, and no map key looks like an integer
(JavaScript would move it to the front). MessagePack is in its shortest form (`canonical`): msgspec gives a Struct that
may have more than 15 fields a 16-bit map header even when it has fewer, which every reader takes but none repeats.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb.contracts import codec, commands, events
from pywhatsweb.contracts.codec import Form

FOLDER = Path(__file__).with_name("golden")
SUFFIXES: dict[Form, str] = {"msgpack": ".msgpack", "json": ".json"}

_TO = "+5511999990001"
_WAMID = "3EB0A1B2C3D4E5F60718293A"
_AT = "2026-11-22T12:00:00.123Z"
_CHAT = {"key": "0123456789abcdef", "pn": _TO}
_FROM = {"pn": _TO, "lid": "123456789012345", "name": "Zoë 🦜"}
_SAID = {"id": _WAMID, "chat": _CHAT, "from": _FROM, "sent_at": _AT}
_FILE = {"id": "med_1", "mime_type": "image/jpeg", "size": 70_000, "sha256": "ab" * 32}

_CONTENTS: dict[str, Any] = {
    "text": {"body": "Olá, mundo! 👋", "preview_url": True},
    "image": {"id": "med_1", "caption": "Foto"},
    "video": {"link": "https://example.org/a.mp4", "gif": True},
    "audio": {"link": "https://example.org/a.mp3"},
    "voice": {"data": "AAECA/8=", "mime_type": "audio/ogg"},
    "document": {"id": "med_2", "filename": "nota.pdf", "caption": "Nota"},
    "sticker": {"id": "med_3", "animated": True},
    "location": {"latitude": -23.5505, "longitude": -46.6333, "name": "Praça da Sé"},
    "contacts": [
        {
            "name": {"formatted_name": "Ana Lima", "first_name": "Ana"},
            "phones": [{"phone": _TO, "type": "CELL", "wa_id": _TO[1:]}],
            "org": {"company": "ACME"},
            "birthday": "1990-01-31",
        }
    ],
    "poll": {"name": "Almoço?", "options": ["Sim", "Não"], "selectable": 0},
    "interactive": {
        "type": "button",
        "header": {"type": "text", "text": "Pedido 1042"},
        "body": {"text": "Confirma?"},
        "footer": {"text": "ACME"},
        "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Sim"}}]},
    },
    "reaction": {"message_id": _WAMID, "emoji": "👍"},
    "event": {"name": "Reunião", "start_at": "2026-12-01T12:00:00Z", "end_at": "2026-12-01T13:30:00.500Z"},
    "template": {
        "name": "order_paid",
        "language": {"code": "pt_BR"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "1042"}]}],
    },
}
_LIST = {
    "type": "list",
    "body": {"text": "Escolha"},
    "action": {
        "button": "Ver",
        "sections": [{"rows": [{"id": "a", "title": "A", "description": "Primeira"}], "title": "Tudo"}],
    },
}
_FULL = {
    "id": "order-1042-paid",
    "to": _TO,
    "context": {"message_id": _WAMID},
    "send_at": "2026-12-01T12:00:00Z",
    "expires_at": "2026-12-01T12:30:00.250Z",
    "priority": "high",
    "typing": 1500,
    "correlation_id": "req_456",
    "metadata": {"order": 1042, "total": 99.5, "paid": True, "note": None, "who": "Zoë"},
}

COMMANDS: dict[str, dict[str, Any]] = {
    **{f"send.{kind}": {"to": _TO, "type": kind, kind: what} for kind, what in _CONTENTS.items()},
    "send.text": {**_FULL, "type": "text", "text": _CONTENTS["text"]},
    "send.interactive-list": {"to": _TO, "type": "interactive", "interactive": _LIST},
    "send.text-status": {"to": "status", "type": "text", "text": {"body": "Feriado"}, "audience": [_TO]},
    "delete.status": {"to": "status", "message_id": _WAMID, "audience": [_TO]},
    "edit": {"to": _TO, "message_id": _WAMID, "text": {"body": "Correção"}},
    "delete": {"id": "d1", "to": _TO, "message_id": _WAMID, "for_everyone": False},
    "forward": {"id": "f1", "to": "120363041234567890@g.us", "message_id": _WAMID, "from": _TO},
    "pin": {"id": "p1", "to": _TO, "message_id": _WAMID, "seconds": 86_400},
    "disappearing": {"to": _TO, "seconds": 604_800},
    "send.text-preview": {
        "to": _TO,
        "type": "text",
        "text": {
            "body": "https://example.org @5511999990001",
            "preview": {"url": "https://example.org", "title": "Exemplo", "thumbnail": "/9j/"},
            "mentions": [_TO],
        },
        "disappear_after": 86_400,
    },
    "react": {"id": "r1", "to": "lid:123456789012345", "message_id": _WAMID, "emoji": ""},
    "vote": {"id": "v1", "to": _TO, "message_id": _WAMID, "options": ["Sim", "Talvez"]},
    "read": {"to": _TO, "message_ids": [_WAMID]},
    "presence": {"to": _TO, "state": "composing"},
    "cancel": {"command_id": "order-1042-paid"},
}

_ERROR = {
    "code": "E_NOT_ON_WHATSAPP",
    "message": "The number has no WhatsApp account.",
    "http_status": 404,
    "severity": "low",
    "retryable": False,
    "action": "Check the number with contact.check.",
    "details": {"path": "$.to"},
}

_DATA: dict[str, dict[str, Any]] = {
    "qr": {"code": "2@abc,def", "image": "data:image/png;base64,AA==", "expires_at": _AT, "attempt": 2},
    "pairing_code": {"code": "ABCD1234", "expires_at": _AT, "phone_number": _TO},
    "session": {"status": "WORKING", "previous": "STARTING", "phone_number": _TO, "engine": "baileys"},
    "message": {
        **_SAID,
        "origin": "inbound",
        "type": "image",
        "image": {"caption": "Foto"},
        "context": {"message_id": _WAMID, "from": _FROM, "forwarded": True},
        "mentions": [_FROM],
        "media": {**_FILE, "source": "AAEC"},
        "offline": True,
    },
    "status": {"command_id": "order-1042-paid", "message_id": _WAMID, "status": "failed", "error": _ERROR},
    "chat": {"chat": _CHAT, "status": "active", "previous": "new", "owner_id": "ana", "by": "bia"},
    "reaction": {**_SAID, "message_id": _WAMID, "emoji": "👍"},
    "edit": {**_SAID, "message_id": _WAMID, "type": "text", "text": {"body": "Correção"}},
    "delete": {**_SAID, "message_id": _WAMID, "origin": "outbound", "from_self": True},
    "poll_vote": {**_SAID, "message_id": _WAMID, "options": ["Sim"]},
    "pin": {**_SAID, "message_id": _WAMID, "pinned": True, "seconds": 604_800},
    "chat_setting": {"chat": _CHAT, "change": "mute", "on": True, "until": _AT},
    "post": {
        "id": _WAMID,
        "place": "status",
        "from": _FROM,
        "type": "text",
        "text": {"body": "Feriado"},
        "sent_at": _AT,
    },
    "history": {
        "id": _WAMID,
        "kind": "on_demand",
        "part": 1,
        "progress": 100,
        "messages": 50,
        "chats": 1,
        "request_id": "3EB0000000000000000001",
        "chat": _CHAT,
        "oldest": {"message_id": _WAMID, "from_self": False, "sent_at": _AT},
        "more": True,
        "sent_at": _AT,
    },
    "label": {"label_id": "6", "change": "add", "chat": _CHAT, "message_id": _WAMID},
    "mark": {"chat": _CHAT, "message_id": _WAMID, "mark": "star", "on": True, "from_self": True},
    "presence": {"chat": _CHAT, "from": _FROM, "state": "composing"},
    "contact": {"person": _FROM, "name": "Zoë", "pn": _TO, "lid": "123456789012345"},
    "group": {
        "group": "120363041234567890",
        "chat": {"key": "fedcba9876543210", "group": "120363041234567890"},
        "change": "add",
        "by": _FROM,
        "participants": [_FROM],
    },
    "call": {"id": "call1", "chat": _CHAT, "from": _FROM, "state": "offer", "video": True},
    "alert": {"kind": "ack_timeout", "command_id": "order-1042-paid", "details": {"waited_ms": 60_000}},
    "deadletter": {"id": "17", "kind": "command", "error": _ERROR, "attempts": 5, "received_at": _AT},
    "media": {"message_id": _WAMID, "chat": _CHAT, "media": _FILE},
}
EVENTS: dict[str, dict[str, Any]] = {
    f"event.{kind}": {
        "event": kind,
        "id": "0123456789abcdef0123456789abcdef",
        "tenant_id": "acme",
        "session_id": "s1",
        "timestamp": _AT,
        "sequence": 412,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "correlation_id": "req_456",
        "causation_id": "order-1042-paid",
        "epoch": 5_000_000_000,
        "data": data,
    }
    for kind, data in _DATA.items()
}


def kind_of(name: str) -> Any:
    """The Struct or union that the sample `name` is one of."""
    verb = name.partition(".")[0]
    return events.AnyEvent if verb == "event" else commands.COMMANDS[verb]


def samples() -> dict[str, Any]:
    """Name → Struct."""
    return {
        name: codec.decode(msgspec.json.encode(body), kind_of(name))
        for name, body in (COMMANDS | EVENTS).items()
    }


def canonical(value: Any, form: Form) -> bytes:
    """`value` in the form that every language's encoder gives."""
    if form == "json":
        return codec.encode(value, form)
    return codec.encode(msgspec.to_builtins(value, builtin_types=(bytes, datetime)), form)


def files() -> dict[str, bytes]:
    """File name → bytes."""
    return {
        name + suffix: canonical(value, form)
        for name, value in samples().items()
        for form, suffix in SUFFIXES.items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, raw in files().items():
        (FOLDER / name).write_bytes(raw)


if __name__ == "__main__":
    main()
