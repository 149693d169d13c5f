"""Meta's Cloud API: messages and media; the phone number id is the session.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages and …/reference/media (uploads: `files`).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import codec, decoding
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import media_data as m
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.envelope import FILES
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route
from pywhatsweb_fleet.gateway.sending import send

_LOOK_AGAIN_S: Final = (0.1, 0.2, 0.5, 1.0, 0.0)
_VERSION: Final = re.compile(r"v\d{1,3}\.\d{1,2}").fullmatch
_THEIRS: Final = frozenset(
    ("messaging_product", "recipient_type", "status", "typing_indicator", "biz_opaque_callback_data")
)


async def messages(call: Call) -> Answer:
    _known_version(call)
    session = call.who.session(call.path["phone_number_id"])
    given: dict[str, Any] = decoding.decode(call.body, dict[str, Any])
    if given.get("status") == "read":
        return await _read(call, session, str(given.get("message_id", "")), "typing_indicator" in given)
    fields = {name: value for name, value in given.items() if name not in _THEIRS}
    fields.setdefault("type", "text")
    to = str(fields.get("to", ""))
    if to.isascii() and to.isdigit():  # theirs are E.164 without the plus
        fields["to"] = "+" + to
    if (
        isinstance(audio := fields.get("audio"), dict)
        and fields["type"] == "audio"
        and audio.pop("voice", False)
    ):
        fields |= {"type": "voice", "voice": fields.pop("audio")}
    verb = "send"
    if fields["type"] == "reaction" and isinstance(reaction := fields.get("reaction"), dict):
        verb, fields = "react", {"to": fields.get("to", ""), **reaction}
    _, accepted = await send(call, session, verb, codec.encode(fields))
    return Answer(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": to, "wa_id": to.removeprefix("+")}],
            "messages": [{"id": accepted.message_id or accepted.id, "message_status": "accepted"}],
        }
    )


async def _read(call: Call, session: str, message_id: str, typing: bool) -> Answer:
    """Theirs names the message alone, so the record says which chat it is of: that is all that is taken from it."""
    call.who.need("send")
    looking = msgspec.structs.replace(call.who, scopes=call.who.scopes | {"read"})
    chat = (await _recorded(call, looking, session, message_id)).chat
    to = chat.pn or (f"{chat.group}@g.us" if chat.group else f"{chat.lid}@lid")
    await send(call, session, "read", codec.encode({"to": to, "message_ids": [message_id]}))
    if typing:
        await send(call, session, "presence", codec.encode({"to": to, "state": "composing"}))
    return Answer({"success": True})


async def _recorded(call: Call, who: Principal, session: str, message_id: str) -> d.StoredMessage:
    """A webhook may be told of a message a moment before the record has it."""
    for wait_s in _LOOK_AGAIN_S:
        try:
            found: d.StoredMessage = await ask_any(
                call.deps.bus, who, "message.get", id=message_id, session_id=session
            )
        except RequestError as error:
            if error.code is not ErrorCode.E_MESSAGE_NOT_FOUND or not wait_s:
                raise
            await asyncio.sleep(wait_s)
        else:
            return found
    raise AssertionError("unreachable: the last look raises")


async def media(call: Call) -> Answer:
    """The file itself is at `url`, with the same key."""
    _known_version(call)
    name = call.path["media_id"]
    about: m.MediaEntry = await ask_any(call.deps.bus, call.who, "media.show", id=name)
    secure = call.deps.settings.http_tls_cert or call.headers.get("x-forwarded-proto") == "https"
    url = f"{'https' if secure else 'http'}://{call.headers.get('host', '')}{FILES}/{about.id}"
    told = {"messaging_product": "whatsapp", "url": url, "mime_type": about.mime_type, "id": about.id}
    return Answer(told | {"sha256": about.sha256, "file_size": about.size})


async def forget(call: Call) -> Answer:
    _known_version(call)
    await ask_any(call.deps.bus, call.who, "media.delete", id=call.path["media_id"])
    return Answer({"success": True})


def _known_version(call: Call) -> None:
    if not _VERSION(call.path["version"]):
        raise GatewayError(ErrorCode.E_UNKNOWN_VERB)


ROUTES = (
    Route(
        "POST", "/{version}/{phone_number_id}/messages", messages, "Cloud API: send a message", "cloud api", "send",
        dict[str, Any],
    ),
    Route("GET", "/{version}/{media_id}", media, "Cloud API: where a file is", "cloud api", "read"),
    Route("DELETE", "/{version}/{media_id}", forget, "Cloud API: let a file go", "cloud api", "manage"),
)  # fmt: skip
