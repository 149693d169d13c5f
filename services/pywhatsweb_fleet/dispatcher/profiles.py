"""``profile.*``, ``presence.subscribe`` and ``call.reject``: the account itself, and who reaches for it."""

from __future__ import annotations

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.event_data import Person
from pywhatsweb_fleet.dispatcher.live import Handler, Live, recipient
from pywhatsweb_fleet.dispatcher.reading import Tenant


class _Told(msgspec.Struct, frozen=True):
    """An engine's `profile.get`."""

    person: Person
    about: str | None = None
    picture: str | None = None


class Profiles:
    """Each asks the session's owner."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def answers(self) -> dict[str, Handler]:
        return {
            "profile.get": self.get,
            "profile.about": self.about,
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

    async def subscribe(self, tenant: Tenant, args: lv.ContactAct) -> lv.Acted:
        to = recipient(tenant, args.to)
        await self._live.ask(tenant, args.session_id, "presence.subscribe", to=to)
        return lv.Acted(session_id=args.session_id)

    async def reject(self, tenant: Tenant, args: lv.CallReject) -> lv.Acted:
        to = recipient(tenant, args.to)
        await self._live.ask(tenant, args.session_id, "call.reject", {"id": args.id}, to)
        return lv.Acted(session_id=args.session_id)
