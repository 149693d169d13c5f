"""Meta's Cloud API: ``POST /{version}/{phone-number-id}/messages``; the phone number id is the session.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

from __future__ import annotations

import re
from typing import Any, Final

from pywhatsweb.contracts import codec, decoding
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route
from pywhatsweb_fleet.gateway.sending import send

_VERSION: Final = re.compile(r"v\d{1,3}\.\d{1,2}").fullmatch
_THEIRS: Final = frozenset(
    ("messaging_product", "recipient_type", "status", "typing_indicator", "biz_opaque_callback_data")
)


async def messages(call: Call) -> Answer:
    if not _VERSION(call.path["version"]):
        raise GatewayError(ErrorCode.E_UNKNOWN_VERB)
    session = call.who.session(call.path["phone_number_id"])
    given: dict[str, Any] = decoding.decode(call.body, dict[str, Any])
    if given.get("status") == "read":
        raise GatewayError(
            ErrorCode.E_NOT_IMPLEMENTED,
            {"reason": "use /v1/sessions/{id}/commands/read, which names the chat"},
        )
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
    _, accepted = await send(call, session, "send", codec.encode(fields))
    return Answer(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": to, "wa_id": to.removeprefix("+")}],
            "messages": [{"id": accepted.message_id or accepted.id, "message_status": "accepted"}],
        }
    )


ROUTES = (
    Route(
        "POST", "/{version}/{phone_number_id}/messages", messages, "Cloud API: send a message", "cloud api", "send",
        dict[str, Any],
    ),
)  # fmt: skip
