"""A thin WAHA-compatible set (https://waha.devlike.pro/docs): change the address and the key, and go on."""

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
from pywhatsweb_fleet.gateway.rest.sessions import PNG, png_of
from pywhatsweb_fleet.gateway.routes import JSON, Answer, Call, Handler, Route
from pywhatsweb_fleet.gateway.sending import send

_STATUS: Final = {
    "PAIRING_CODE": "SCAN_QR_CODE",
    "PASSKEY_REQUIRED": "SCAN_QR_CODE",
    "RECONNECTING": "STARTING",
}
_TAG: Final = "waha"


class WahaFile(Struct, kw_only=True):
    """One of `url` (https) and `data` (base64)."""

    mimetype: str | None = None
    filename: str | None = None
    url: str | None = None
    data: str | None = None


class WahaSend(Struct, kw_only=True):
    """The fields of WAHA's sendText, sendImage, sendFile, sendVoice and sendLocation."""

    session: str = "default"
    chatId: str  # noqa: N815 - WAHA's name
    text: str | None = None
    caption: str | None = None
    file: WahaFile | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    reply_to: str | None = None


class WahaSession(Struct, kw_only=True):
    name: str = "default"
    start: bool = True


def _told(info: d.SessionInfo) -> dict[str, Any]:
    status = str(info.status)
    known = status in ("STOPPED", "STARTING", "SCAN_QR_CODE", "WORKING")
    me = {"id": f"{info.phone_number[1:]}@c.us", "pushName": None} if info.phone_number else None
    return {
        "name": info.session_id,
        "status": status if known else _STATUS.get(status, "FAILED"),
        "me": me,
        "engine": {"engine": info.engine},
        "config": {"metadata": info.metadata},
    }


def recipient(chat_id: str) -> str:
    """``5511…@c.us`` is a phone number; groups and LIDs are named as we do."""
    name, at, server = chat_id.partition("@")
    if at and server not in ("c.us", "s.whatsapp.net"):
        return chat_id
    return f"+{name}" if name.isascii() and name.isdigit() else name


def _media(file: WahaFile | None) -> dict[str, Any]:
    if file is None:
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "file"})
    data = None
    if file.data is not None:
        try:
            data = base64.b64decode(file.data, validate=True)
        except (ValueError, binascii.Error):
            raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "$.file.data"}) from None
    return {"link": file.url, "data": data, "mime_type": file.mimetype}


def _content(kind: str, asked: WahaSend) -> dict[str, Any]:
    if kind == "text":
        found: dict[str, Any] = {"body": asked.text}
    elif kind == "location":
        found = {"latitude": asked.latitude, "longitude": asked.longitude, "name": asked.title}
    else:
        found = _media(asked.file)
        if kind != "voice":
            found["caption"] = asked.caption
        if kind == "document" and asked.file is not None:
            found["filename"] = asked.file.filename
    return {name: value for name, value in found.items() if value is not None}


def _sender(kind: str) -> Handler:
    async def handle(call: Call) -> Answer:
        asked: WahaSend = call.decode(WahaSend)
        session = call.who.session(asked.session)
        fields: dict[str, Any] = {"to": recipient(asked.chatId), "type": kind, kind: _content(kind, asked)}
        if asked.reply_to is not None:
            fields["context"] = {"message_id": asked.reply_to.rpartition("_")[2]}
        _, accepted = await send(call, session, "send", codec.encode(fields))
        told = {"id": accepted.message_id or accepted.id, "fromMe": True, "to": asked.chatId, "ack": 0}
        return Answer(told, status=201)

    return handle


def _action(verb: str, status: int = 200) -> Handler:
    async def handle(call: Call) -> Answer:
        told = _told(await ask_any(call.deps.bus, call.who, verb, session_id=call.session()))
        return Answer(told, status=status)

    return handle


async def list_(call: Call) -> Answer:
    active = None if call.query.get("all", "").lower() == "true" else True
    found: d.Sessions = await ask_any(call.deps.bus, call.who, "session.list", active=active)
    return Answer([_told(info) for info in found.sessions])


async def create(call: Call) -> Answer:
    asked: WahaSession = call.decode(WahaSession)
    session = call.who.session(asked.name)
    info = await ask_any(call.deps.bus, call.who, "session.start", session_id=session)
    if not asked.start:
        info = await ask_any(call.deps.bus, call.who, "session.stop", session_id=session)
    return Answer(_told(info), status=201)


async def qr(call: Call) -> Answer:
    found: d.SessionQr = await ask_any(call.deps.bus, call.who, "session.qr", session_id=call.session())
    if call.query.get("format") == "raw":
        return Answer({"value": found.code})
    if "application/json" in call.headers.get("accept", ""):
        return Answer({"mimetype": PNG, "data": found.image.partition(",")[2]})
    return Answer(png_of(found), kind=PNG)


_ONE = "/api/sessions/{session_id}"
_SENDS = (
    ("sendText", "text"), ("sendImage", "image"), ("sendFile", "document"), ("sendVoice", "voice"),
    ("sendLocation", "location"),
)  # fmt: skip
ROUTES = (
    Route("GET", "/api/sessions", list_, "WAHA: sessions", _TAG, "read", query={"all": "true: the stopped ones too"}),
    Route("POST", "/api/sessions", create, "WAHA: create a session", _TAG, "manage", WahaSession, status=201),
    Route("GET", _ONE, _action("session.status"), "WAHA: a session", _TAG, "read"),
    Route("DELETE", _ONE, _action("session.delete"), "WAHA: delete a session", _TAG, "manage"),
    Route("POST", f"{_ONE}/start", _action("session.start", 201), "WAHA: start", _TAG, "manage", status=201),
    *(
        Route("POST", f"{_ONE}/{name}", _action(f"session.{name}", 201), f"WAHA: {name}", _TAG, "manage", status=201)
        for name in ("stop", "restart", "logout")
    ),
    *(
        Route("POST", f"/api/{name}", _sender(kind), f"WAHA: {name}", _TAG, "send", WahaSend, status=201)
        for name, kind in _SENDS
    ),
    Route(
        "GET", "/api/{session_id}/auth/qr", qr, "WAHA: the QR code", _TAG, "read", query={"format": "image or raw"},
        kinds=(PNG, JSON),
    ),
)  # fmt: skip
