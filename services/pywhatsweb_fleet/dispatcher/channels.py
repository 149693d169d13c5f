"""``channel.*``: an engine's words about channels into the contract's."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import channel_data as ch
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.places import place_of
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.dispatcher.live import Handler, Live
from pywhatsweb_fleet.dispatcher.reading import Tenant

LINK: Final = "https://whatsapp.com/channel/"
_CODE: Final = re.compile(r"(?:https?://(?:www\.)?whatsapp\.com/channel/)?([A-Za-z0-9_-]{8,64})/?(?:\?.*)?")


class _Told(msgspec.Struct, frozen=True):
    """An engine's channel; times in milliseconds."""

    channel: str
    name: str | None = None
    description: str | None = None
    invite: str | None = None
    subscribers: int = 0
    verified: bool = False
    created_at: int | None = None
    role: str | None = None
    muted: bool = False


class Channels:
    """Each asks the session's owner."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def answers(self) -> dict[str, Handler]:
        return {
            "channel.get": self.get,
            "channel.create": self.create,
            "channel.mute": self.mute,
            **{
                f"channel.{verb}": self._acted(f"channel.{verb}") for verb in ("follow", "unfollow", "delete")
            },
        }

    async def get(self, tenant: Tenant, args: ch.ChannelRef) -> ch.Channel:
        return _channel(await self._live.ask(tenant, args.session_id, "channel.get", _named(args.channel)))

    async def create(self, tenant: Tenant, args: ch.ChannelCreate) -> ch.Channel:
        content = {"name": args.name, "description": args.description}
        return _channel(await self._live.ask(tenant, args.session_id, "channel.create", content))

    async def mute(self, tenant: Tenant, args: ch.ChannelMute) -> lv.Acted:
        content = {"channel": await self._id(tenant, args), "muted": args.muted}
        await self._live.ask(tenant, args.session_id, "channel.mute", content)
        return lv.Acted(session_id=args.session_id)

    def _acted(self, verb: str) -> Handler:
        async def answer(tenant: Tenant, args: ch.ChannelRef) -> lv.Acted:
            content = {"channel": await self._id(tenant, args)}
            await self._live.ask(tenant, args.session_id, verb, content)
            return lv.Acted(session_id=args.session_id)

        return answer

    async def _id(self, tenant: Tenant, args: ch.ChannelRef) -> str:
        """WhatsApp does things to ids only: who names a link has it looked up."""
        named = _named(args.channel)
        return named.get("channel") or (await self.get(tenant, args)).channel


def _named(channel: str) -> dict[str, str]:
    """By its id or its link's code. Raises RequestError(E_CHANNEL_NOT_FOUND) for what is neither."""
    place = place_of(channel)
    if place is not None and place.kind == "channel":
        return {"channel": place.id}
    if (code := _CODE.fullmatch(channel.strip())) is None:
        raise RequestError(ErrorCode.E_CHANNEL_NOT_FOUND)
    return {"code": code[1]}


def _channel(told: Any) -> ch.Channel:
    found = msgspec.convert(told, _Told)
    fields = {
        name: getattr(found, name) for name in _Told.__struct_fields__ if name not in {"invite", "created_at"}
    }
    return ch.Channel(
        link=LINK + found.invite if found.invite else None,
        created_at=timestamp(found.created_at) if found.created_at else None,
        **fields,
    )
