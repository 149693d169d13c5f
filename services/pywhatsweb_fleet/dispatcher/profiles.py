"""``profile.*``, ``group.picture``, ``presence.subscribe``, ``call.reject``: the account, and who reaches for it."""

from __future__ import annotations

from typing import Final

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.event_data import Person
from pywhatsweb_fleet.dispatcher.groups import named
from pywhatsweb_fleet.dispatcher.live import Handler, Live, recipient
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.media.images import Images

_PIXELS: Final = 50_000_000


class _Told(msgspec.Struct, frozen=True):
    """An engine's `profile.get`."""

    person: Person
    about: str | None = None
    picture: str | None = None


class Profiles:
    """Each asks the session's owner."""

    def __init__(self, live: Live, images: Images) -> None:
        self._live = live
        self._images = images

    def answers(self) -> dict[str, Handler]:
        return {
            "profile.get": self.get,
            "profile.about": self.about,
            "profile.name": self.name,
            "profile.picture": self.picture,
            "group.picture": self.group_picture,
            "presence.subscribe": self.subscribe,
            "call.reject": self.reject,
        }

    async def get(self, tenant: Tenant, args: d.SessionRef) -> lv.Profile:
        told = msgspec.convert(await self._live.ask(tenant, args.session_id, "profile.get"), _Told)
        return lv.Profile(
            session_id=args.session_id, person=told.person, about=told.about, picture=told.picture
        )

    async def about(self, tenant: Tenant, args: lv.ProfileAbout) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, "profile.about", {"about": args.about})
        return lv.Acted(session_id=args.session_id)

    async def name(self, tenant: Tenant, args: lv.ProfileName) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, "profile.name", {"name": args.name})
        return lv.Acted(session_id=args.session_id)

    async def picture(self, tenant: Tenant, args: lv.ProfilePicture) -> lv.Acted:
        return await self._show(tenant, args.session_id, "profile.picture", args.data)

    async def group_picture(self, tenant: Tenant, args: lv.GroupPicture) -> lv.Acted:
        return await self._show(tenant, args.session_id, "group.picture", args.data, named(args.group))

    async def _show(
        self, tenant: Tenant, session: str, verb: str, data: bytes | None, to: dict[str, str] | None = None
    ) -> lv.Acted:
        """Raises MediaError for what is no image."""
        await self._live.check(tenant, session, verb)
        square = await self._images.square(data, pixels=_PIXELS) if data is not None else None
        await self._live.ask(tenant, session, verb, {"data": square}, to)
        return lv.Acted(session_id=session)

    async def subscribe(self, tenant: Tenant, args: lv.ContactAct) -> lv.Acted:
        to = recipient(tenant, args.to)
        await self._live.ask(tenant, args.session_id, "presence.subscribe", to=to)
        return lv.Acted(session_id=args.session_id)

    async def reject(self, tenant: Tenant, args: lv.CallReject) -> lv.Acted:
        to = recipient(tenant, args.to)
        await self._live.ask(tenant, args.session_id, "call.reject", {"id": args.id}, to)
        return lv.Acted(session_id=args.session_id)
