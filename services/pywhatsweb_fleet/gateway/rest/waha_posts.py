"""WAHA's statuses and channels (https://waha.devlike.pro/docs/how-to/status/, …/how-to/channels/).

In a channel one posts by the routes of `waha_chats`, with its id as `chatId`.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from pywhatsweb.contracts import channel_data as ch
from pywhatsweb.contracts.places import STATUS
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.rest.waha import TAG
from pywhatsweb_fleet.gateway.rest.waha_chats import WahaFile, bare_id, file_content, missing, recipient, sent
from pywhatsweb_fleet.gateway.routes import Answer, Call, Handler, Route


class WahaStatus(Struct, kw_only=True):
    """The fields of WAHA's status routes. `contacts`: who may see it; the people of the session's chats when null.

    `id` is there to show one status to people in several batches, and is refused: name up to 1000 at once.
    """

    id: str | None = None
    contacts: list[str] | None = None
    text: str | None = None
    backgroundColor: str | None = None  # noqa: N815 - WAHA's name
    file: WahaFile | None = None
    caption: str | None = None


class WahaStatusDelete(Struct, kw_only=True):
    id: str
    contacts: list[str] | None = None


class WahaChannelCreate(Struct, kw_only=True):
    name: str
    description: str = ""


def _status(kind: str) -> Handler:
    async def handle(call: Call) -> Answer:
        asked: WahaStatus = call.decode(WahaStatus)
        if asked.id is not None:
            raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "$.id", "allowed": [None]})
        fields = {"type": kind, kind: _content(kind, asked), **_to(asked.contacts)}
        return Answer(await sent(call, call.session(), "send", fields, STATUS), status=201)

    return handle


def _content(kind: str, asked: WahaStatus) -> dict[str, Any]:
    if kind != "text":
        return file_content(kind, asked.file, asked.caption)
    if asked.text is None:
        raise missing("text")
    background = {"background": asked.backgroundColor} if asked.backgroundColor else {}
    return {"body": asked.text, **background}


def _to(contacts: list[str] | None) -> dict[str, Any]:
    return {"to": STATUS, **({"audience": [recipient(who) for who in contacts]} if contacts else {})}


async def delete_status(call: Call) -> Answer:
    asked: WahaStatusDelete = call.decode(WahaStatusDelete)
    fields = {"message_id": bare_id(asked.id), **_to(asked.contacts)}
    return Answer(await sent(call, call.session(), "delete", fields, STATUS), status=201)


async def _about(call: Call, verb: str, **more: Any) -> Any:
    """`channel_id` of the path: an id, or the code of a channel's link."""
    args = {"session_id": call.session(), "channel": call.path["channel_id"], **more}
    return await ask_any(call.deps.bus, call.who, verb, **args)


def _told(channel: ch.Channel) -> dict[str, Any]:
    return {
        "id": channel.channel,
        "name": channel.name,
        "description": channel.description,
        "invite": channel.link,
        "preview": None,
        "picture": None,
        "verified": channel.verified,
        "role": (channel.role or "guest").upper(),
        "subscribersCount": channel.subscribers,
    }


async def create_channel(call: Call) -> Answer:
    asked: WahaChannelCreate = call.decode(WahaChannelCreate)
    args = {"session_id": call.session(), "name": asked.name, "description": asked.description}
    return Answer(_told(await ask_any(call.deps.bus, call.who, "channel.create", **args)), status=201)


async def channel(call: Call) -> Answer:
    return Answer(_told(await _about(call, "channel.get")))


def _acting(verb: str, status: int = 201, **more: Any) -> Handler:
    async def handle(call: Call) -> Answer:
        await _about(call, verb, **more)
        return Answer({"result": True}, status=status)

    return handle


_STATUS: Final = "/api/{session_id}/status"
_CHANNELS: Final = "/api/{session_id}/channels"
_CHANNEL: Final = f"{_CHANNELS}/{{channel_id}}"
_ACTS: Final = {
    "follow": _acting("channel.follow"),
    "unfollow": _acting("channel.unfollow"),
    "mute": _acting("channel.mute"),
    "unmute": _acting("channel.mute", muted=False),
}
ROUTES = (
    *(
        Route(
            "POST", f"{_STATUS}/{kind}", _status(kind), f"WAHA: post a status ({kind})", TAG, "send", WahaStatus,
            status=201,
        )
        for kind in ("text", "image", "voice", "video")
    ),
    Route(
        "POST", f"{_STATUS}/delete", delete_status, "WAHA: take a status back", TAG, "send", WahaStatusDelete,
        status=201,
    ),
    Route("POST", _CHANNELS, create_channel, "WAHA: make a channel", TAG, "manage", WahaChannelCreate, status=201),
    Route("GET", _CHANNEL, channel, "WAHA: a channel, by its id or its link's code", TAG, "read"),
    Route("DELETE", _CHANNEL, _acting("channel.delete", 200), "WAHA: delete a channel for everybody", TAG, "manage"),
    *(
        Route("POST", f"{_CHANNEL}/{name}", act, f"WAHA: {name} a channel", TAG, "manage", status=201)
        for name, act in _ACTS.items()
    ),
)  # fmt: skip
