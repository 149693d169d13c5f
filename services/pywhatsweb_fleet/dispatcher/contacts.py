"""``contact.*``, as WhatsApp answers it: who is there, what they show of themselves, and whom the account blocks."""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.event_data import Person
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError
from pywhatsweb.phone import brazil_candidates, normalize_phone_number
from pywhatsweb_fleet.dispatcher.live import Handler, Live, recipient
from pywhatsweb_fleet.dispatcher.reading import Tenant


class _Checked(msgspec.Struct, frozen=True):
    """An engine's word on one number: ``pn`` is the account's own, which may be written otherwise."""

    number: str
    exists: bool
    pn: str | None = None
    lid: str | None = None


class _Details(msgspec.Struct, frozen=True):
    """An engine's `contact.info`."""

    person: Person
    exists: bool
    about: str | None = None
    about_at: int | None = None
    picture: str | None = None
    business: lv.BusinessProfile | None = None


class Contacts:
    """Each asks one owner."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def answers(self) -> dict[str, Handler]:
        return {
            "contact.check": self.check,
            "contact.info": self.info,
            "contact.picture": self.picture,
            "contact.block": self.block,
            "contact.unblock": self.unblock,
            "contact.blocked": self.blocked,
        }

    async def check(self, tenant: Tenant, args: d.ContactCheck) -> d.CheckedNumbers:
        """A number that cannot be one does not exist. Of Brazil's two forms of a mobile the registered one counts."""
        forms = {number: _forms(number, tenant.record.region) for number in args.numbers}
        asked = list(dict.fromkeys(form for both in forms.values() for form in both))
        found: dict[str, _Checked] = {}
        if asked:
            session = await self._live.any_working(tenant, args.session_id)
            data = await self._live.ask(tenant, session, "contact.check", {"numbers": asked})
            found = {one.number: one for one in msgspec.convert(data, list[_Checked])}
        return d.CheckedNumbers(numbers=[_checked(number, forms[number], found) for number in args.numbers])

    async def info(self, tenant: Tenant, args: lv.ContactAsk) -> lv.ContactDetails:
        to = recipient(tenant, args.to)
        session = await self._live.any_working(tenant, args.session_id)
        data = await self._live.ask(tenant, session, "contact.info", to=to)
        told = msgspec.convert(data, _Details)
        return lv.ContactDetails(
            person=told.person,
            session_id=session,
            exists=told.exists,
            about=told.about,
            about_at=timestamp(told.about_at) if told.about_at else None,
            picture=told.picture,
            business=told.business,
        )

    async def picture(self, tenant: Tenant, args: lv.ContactPictureAsk) -> lv.Picture:
        to = recipient(tenant, args.to)
        session = await self._live.any_working(tenant, args.session_id)
        data = await self._live.ask(tenant, session, "contact.picture", {"preview": args.preview}, to)
        return lv.Picture(session_id=session, url=data.get("url"))

    async def block(self, tenant: Tenant, args: lv.ContactAct) -> lv.Acted:
        return await self._act(tenant, "contact.block", args)

    async def unblock(self, tenant: Tenant, args: lv.ContactAct) -> lv.Acted:
        return await self._act(tenant, "contact.unblock", args)

    async def _act(self, tenant: Tenant, verb: str, args: lv.ContactAct) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, verb, to=recipient(tenant, args.to))
        return lv.Acted(session_id=args.session_id)

    async def blocked(self, tenant: Tenant, args: d.SessionRef) -> lv.Blocked:
        data: Any = await self._live.ask(tenant, args.session_id, "contact.blocked")
        return lv.Blocked(people=msgspec.convert(data, list[Person]))


def _forms(number: str, region: str) -> tuple[str, ...]:
    """How WhatsApp may know it, as it was written first; none for what is no number."""
    try:
        return brazil_candidates(normalize_phone_number(number, region))
    except ContractError:
        return ()


def _checked(number: str, forms: tuple[str, ...], found: dict[str, _Checked]) -> d.CheckedNumber:
    for form in forms:
        one = found.get(form)
        if one is not None and one.exists:
            return d.CheckedNumber(number=number, exists=True, pn=one.pn or form, lid=one.lid)
    return d.CheckedNumber(number=number, exists=False)
