"""WAHA's messages, chats and contacts (https://waha.devlike.pro/docs/how-to/send-messages/).

As there, a send is answered when WhatsApp has it, with the message's id: ``true_<chat>_<id>``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from msgspec import Struct

from pywhatsweb.contracts import codec
from pywhatsweb.contracts import control_data as d
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.rest.waha import TAG
from pywhatsweb_fleet.gateway.routes import Answer, Call, Handler, Route
from pywhatsweb_fleet.gateway.sending import send
from pywhatsweb_runtime import waha

_LIMIT: Final = 100
_PAGES: Final = 20
"""Of a listing with an offset: the record has cursors."""
_PRESENCES: Final = {
    "online": "available", "offline": "unavailable", "typing": "composing", "recording": "recording",
    "paused": "paused",
}  # fmt: skip


class WahaFile(Struct, kw_only=True):
    """One of `url` (https) and `data` (base64)."""

    mimetype: str | None = None
    filename: str | None = None
    url: str | None = None
    data: str | None = None


class WahaContact(Struct, kw_only=True):
    fullName: str  # noqa: N815 - WAHA's names
    phoneNumber: str  # noqa: N815
    organization: str | None = None


class WahaPoll(Struct, kw_only=True):
    name: str
    options: list[str]
    multipleAnswers: bool = False  # noqa: N815


class WahaSend(Struct, kw_only=True):
    """The fields of WAHA's send routes."""

    session: str = "default"
    chatId: str  # noqa: N815
    text: str | None = None
    caption: str | None = None
    file: WahaFile | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    contacts: list[WahaContact] = []
    poll: WahaPoll | None = None
    reply_to: str | None = None


class WahaAct(Struct, kw_only=True):
    """What is done to a chat or a message of it."""

    session: str = "default"
    chatId: str | None = None  # noqa: N815
    messageId: str | None = None  # noqa: N815
    messageIds: list[str] = []  # noqa: N815
    reaction: str | None = None
    presence: str | None = None
    text: str | None = None


def recipient(chat_id: str) -> str:
    """``5511…@c.us`` is a phone number; groups and LIDs are named as we do."""
    name, at, server = chat_id.partition("@")
    if at and server not in ("c.us", "s.whatsapp.net"):
        return chat_id
    return f"+{name}" if name.isascii() and name.isdigit() else name


def _media(file: WahaFile | None) -> dict[str, Any]:
    if file is None:
        raise missing("file")
    data = None
    if file.data is not None:
        try:
            data = base64.b64decode(file.data, validate=True)
        except (ValueError, binascii.Error):
            raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "$.file.data"}) from None
    return {"link": file.url, "data": data, "mime_type": file.mimetype}


def missing(field: str) -> GatewayError:
    return GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": field})


def _content(kind: str, asked: WahaSend) -> Any:
    if kind == "contacts":
        return [_card(contact) for contact in asked.contacts]
    if kind == "text":
        found: dict[str, Any] = {"body": asked.text}
    elif kind == "location":
        found = {"latitude": asked.latitude, "longitude": asked.longitude, "name": asked.title}
    elif kind == "poll":
        if asked.poll is None:
            raise missing("poll")
        many = 0 if asked.poll.multipleAnswers else 1
        found = {"name": asked.poll.name, "options": asked.poll.options, "selectable": many}
    else:
        return file_content(kind, asked.file, asked.caption)
    return _given(found)


def file_content(kind: str, file: WahaFile | None, caption: str | None) -> dict[str, Any]:
    """A file, as a command of ours has it. Raises GatewayError."""
    found = _media(file)
    if kind != "voice":
        found["caption"] = caption
    if kind == "document" and file is not None:
        found["filename"] = file.filename
    return _given(found)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _card(contact: WahaContact) -> dict[str, Any]:
    card: dict[str, Any] = {
        "name": {"formatted_name": contact.fullName},
        "phones": [{"phone": contact.phoneNumber}],
    }
    return card | ({"org": {"company": contact.organization}} if contact.organization else {})


def _sender(kind: str) -> Handler:
    async def handle(call: Call) -> Answer:
        asked: WahaSend = call.decode(WahaSend)
        session = call.who.session(asked.session)
        fields: dict[str, Any] = {"to": recipient(asked.chatId), "type": kind, kind: _content(kind, asked)}
        if asked.reply_to is not None:
            fields["context"] = {"message_id": bare_id(asked.reply_to)}
        return Answer(await sent(call, session, "send", fields, asked.chatId), status=201)

    return handle


async def sent(call: Call, session: str, verb: str, fields: dict[str, Any], chat: str) -> dict[str, Any]:
    """Sends it, and answers as WAHA does when WhatsApp has it."""
    _, accepted = await send(call, session, verb, codec.encode(fields), wait="sent")
    full = waha.message_id(chat, accepted.message_id or accepted.id, own=True)
    return {"id": full, "fromMe": True, "to": chat, "ack": int(accepted.status != "accepted")}


def bare_id(message_id: str) -> str:
    """The id of ``true_5511…@c.us_3EB0…`` alone (in groups the participant may follow it)."""
    parts = message_id.split("_")
    return parts[2] if len(parts) > 2 and parts[0] in ("true", "false") else message_id


def _chat_in(message_id: str) -> str:
    parts = message_id.split("_")
    if len(parts) > 2 and parts[0] in ("true", "false"):
        return parts[1]
    raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "$.messageId", "expected": "true_<chat>_<id>"})


async def react(call: Call) -> Answer:
    asked: WahaAct = call.decode(WahaAct)
    if asked.messageId is None:
        raise missing("messageId")
    chat = _chat_in(asked.messageId)
    fields = {"to": recipient(chat), "message_id": bare_id(asked.messageId), "emoji": asked.reaction or ""}
    return Answer(await sent(call, call.who.session(asked.session), "react", fields, chat))


async def forward(call: Call) -> Answer:
    asked: WahaAct = call.decode(WahaAct)
    if asked.messageId is None or asked.chatId is None:
        raise missing("chatId" if asked.chatId is None else "messageId")
    fields = {
        "to": recipient(asked.chatId),
        "from": recipient(_chat_in(asked.messageId)),
        "message_id": bare_id(asked.messageId),
    }
    told = await sent(call, call.who.session(asked.session), "forward", fields, asked.chatId)
    return Answer(told, status=201)


async def seen(call: Call) -> Answer:
    """Without message ids: what came last in the chat, as the record has it."""
    asked: WahaAct = call.decode(WahaAct)
    if asked.chatId is None:
        raise missing("chatId")
    session, to = call.who.session(asked.session), recipient(asked.chatId)
    names = [bare_id(name) for name in (*asked.messageIds, asked.messageId) if name]
    if not names:
        page = await ask_any(call.deps.bus, call.who, "chat.messages", to=to, session_id=session, limit=50)
        names = [one.id for one in page.messages if not waha.is_own(one)]
    if names:
        await send(call, session, "read", codec.encode({"to": to, "message_ids": names}))
    return Answer({"success": True}, status=201)


async def _show(call: Call, session: str, state: str, chat: str | None) -> Answer:
    fields = {"state": state, **({"to": recipient(chat)} if chat is not None else {})}
    await send(call, session, "presence", codec.encode(fields))
    return Answer({"result": True}, status=201)


def _presence(state: str) -> Handler:
    async def handle(call: Call) -> Answer:
        asked: WahaAct = call.decode(WahaAct)
        if asked.chatId is None:
            raise missing("chatId")
        return await _show(call, call.who.session(asked.session), state, asked.chatId)

    return handle


async def presence(call: Call) -> Answer:
    asked: WahaAct = call.decode(WahaAct)
    state = _PRESENCES.get(asked.presence or "")
    if state is None:
        allowed = {"path": "$.presence", "allowed": sorted(_PRESENCES)}
        raise GatewayError(ErrorCode.E_INVALID_FIELD, allowed)
    alone = state in ("available", "unavailable")
    return await _show(call, call.session(), state, None if alone else asked.chatId)


async def edit(call: Call) -> Answer:
    asked: WahaAct = call.decode(WahaAct)
    chat, name = call.path["chat_id"], bare_id(call.path["message_id"])
    fields = {"to": recipient(chat), "message_id": name, "type": "text", "text": {"body": asked.text or ""}}
    return Answer(await sent(call, call.session(), "edit", fields, chat))


async def delete(call: Call) -> Answer:
    chat = call.path["chat_id"]
    fields = {"to": recipient(chat), "message_id": bare_id(call.path["message_id"])}
    return Answer(await sent(call, call.session(), "delete", fields, chat))


def _number(call: Call, name: str, default: int, most: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text) <= most):
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": f"?{name}", "limit": most})
    return int(text)


async def _paged(call: Call, verb: str, field: str, **fields: Any) -> list[Any]:
    """``?limit`` and ``?offset`` over pages with cursors."""
    limit = max(1, _number(call, "limit", _LIMIT, 500))
    offset = _number(call, "offset", 0, 10_000)
    found: list[Any] = []
    cursor = None
    for _ in range(_PAGES):
        page = await ask_any(call.deps.bus, call.who, verb, **fields, limit=500, cursor=cursor)
        found += getattr(page, field)
        cursor = page.cursor
        if cursor is None or len(found) >= offset + limit:
            break
    return found[offset : offset + limit]


async def _messages(call: Call, session: str, chat: str) -> Answer:
    info = await ask_any(call.deps.bus, call.who, "session.status", session_id=session)
    found = await _paged(call, "chat.messages", "messages", to=recipient(chat), session_id=session)
    return Answer([waha.message(one, info.phone_number) for one in found])


async def messages(call: Call) -> Answer:
    return await _messages(call, call.session(), call.path["chat_id"])


async def older_messages(call: Call) -> Answer:
    if "chatId" not in call.query:
        raise missing("?chatId")
    return await _messages(call, call.who.session(call.query.get("session", "default")), call.query["chatId"])


async def chats(call: Call) -> Answer:
    found = await _paged(call, "chat.list", "chats", session_id=call.session())
    return Answer([{"id": waha.waha_id(one.chat), "name": one.name} for one in found])


async def exists(call: Call) -> Answer:
    number = recipient(call.query.get("phone", ""))
    session = call.who.session(call.query.get("session", "default"))
    if not number:
        raise missing("?phone")
    args = {"numbers": [number], "session_id": session}
    found: d.CheckedNumbers = await ask_any(call.deps.bus, call.who, "contact.check", **args)
    one = found.numbers[0]
    chat = f"{one.pn[1:]}@c.us" if one.pn else None
    return Answer({"numberExists": one.exists, "chatId": chat})


async def contacts(call: Call) -> Answer:
    session = call.who.session(call.query.get("session", "default"))
    return Answer(
        [_contact(one) for one in await _paged(call, "contact.list", "contacts", session_id=session)]
    )


async def contact(call: Call) -> Answer:
    session = call.who.session(call.query.get("session", "default"))
    args = {"to": recipient(call.query.get("contactId", "")) or None, "session_id": session}
    return Answer(_contact(await ask_any(call.deps.bus, call.who, "contact.get", **args)))


def _contact(one: d.ContactInfo) -> dict[str, Any]:
    person = one.person
    return {
        "id": f"{person.pn[1:]}@c.us" if person.pn else f"{person.lid}@lid",
        "number": person.pn[1:] if person.pn else None,
        "name": person.name,
        "pushname": person.name,
    }


_SENDS = (
    ("sendText", "text"), ("sendImage", "image"), ("sendFile", "document"), ("sendVoice", "voice"),
    ("sendVideo", "video"), ("sendLocation", "location"), ("sendContactVcard", "contacts"), ("sendPoll", "poll"),
)  # fmt: skip
_CHATS = "/api/{session_id}/chats"
_MESSAGE = f"{_CHATS}/{{chat_id}}/messages/{{message_id}}"
_PAGE = {"limit": f"at most 500; {_LIMIT} unless given", "offset": "how many to leave out"}
_SESSION = {"session": "the session; default unless given"}
ROUTES = (
    *(
        Route("POST", f"/api/{name}", _sender(kind), f"WAHA: {name}", TAG, "send", WahaSend, status=201)
        for name, kind in _SENDS
    ),
    Route("PUT", "/api/reaction", react, "WAHA: react to a message", TAG, "send", WahaAct),
    Route("POST", "/api/forwardMessage", forward, "WAHA: forward a message", TAG, "send", WahaAct, status=201),
    Route("POST", "/api/sendSeen", seen, "WAHA: mark as read", TAG, "send", WahaAct, status=201),
    Route("POST", "/api/startTyping", _presence("composing"), "WAHA: show typing", TAG, "send", WahaAct, status=201),
    Route("POST", "/api/stopTyping", _presence("paused"), "WAHA: show it no longer", TAG, "send", WahaAct, status=201),
    Route("POST", "/api/{session_id}/presence", presence, "WAHA: presence", TAG, "send", WahaAct, status=201),
    Route("PUT", _MESSAGE, edit, "WAHA: edit a message", TAG, "send", WahaAct),
    Route("DELETE", _MESSAGE, delete, "WAHA: delete a message for everybody", TAG, "send"),
    Route("GET", _CHATS, chats, "WAHA: chats", TAG, "read", query=_PAGE),
    Route("GET", f"{_CHATS}/{{chat_id}}/messages", messages, "WAHA: a chat's messages", TAG, "read", query=_PAGE),
    Route(
        "GET", "/api/messages", older_messages, "WAHA: a chat's messages, the older form", TAG, "read",
        query={**_SESSION, "chatId": "the chat", **_PAGE},
    ),
    Route(
        "GET", "/api/contacts/check-exists", exists, "WAHA: whether a number is on WhatsApp", TAG, "read",
        query={**_SESSION, "phone": "the number"},
    ),
    Route("GET", "/api/contacts/all", contacts, "WAHA: contacts", TAG, "read", query={**_SESSION, **_PAGE}),
    Route(
        "GET", "/api/contacts", contact, "WAHA: a contact", TAG, "read",
        query={**_SESSION, "contactId": "its id"},
    ),
)  # fmt: skip
