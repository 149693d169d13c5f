"""``contact.*`` and ``group.*``: what the record knows, and what WhatsApp is asked through a live session.

A live question needs a session that is WORKING: else RequestError with the code that says why (E_SESSION_NOT_READY, …).
An act that raises RequestError(E_OUTCOME_UNKNOWN) or DeadlineError may have been done: look before you ask again.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from pywhatsweb.client.control import Part
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.event_data import Person


class Contacts(Part):
    """``contact.*``: without `session_id` any session that works is asked."""

    async def check(
        self, numbers: Sequence[str], *, session_id: str | None = None
    ) -> builtins.list[d.CheckedNumber]:
        """Which of up to 500 numbers are on WhatsApp; `pn` is the account's own form of the number."""
        args = d.ContactCheck(numbers=[*numbers], session_id=session_id)
        return (await self._ask("contact.check", args, d.CheckedNumbers)).numbers

    async def info(self, to: str, *, session_id: str | None = None) -> lv.ContactDetails:
        """What WhatsApp tells of a person now; what they hide is null."""
        return await self._ask("contact.info", lv.ContactAsk(to=to, session_id=session_id), lv.ContactDetails)

    async def picture(self, to: str, *, preview: bool = False, session_id: str | None = None) -> lv.Picture:
        """Where a person's picture is, for a while; `preview`: the small one."""
        args = lv.ContactPictureAsk(to=to, preview=preview, session_id=session_id)
        return await self._ask("contact.picture", args, lv.Picture)

    async def block(self, to: str, *, session_id: str) -> None:
        """WhatsApp hands over nothing from them any more."""
        await self._ask("contact.block", lv.ContactAct(to=to, session_id=session_id), lv.Acted)

    async def unblock(self, to: str, *, session_id: str) -> None:
        await self._ask("contact.unblock", lv.ContactAct(to=to, session_id=session_id), lv.Acted)

    async def blocked(self, session_id: str) -> builtins.list[Person]:
        """Whom the account has blocked."""
        return (await self._ask("contact.blocked", d.SessionRef(session_id=session_id), lv.Blocked)).people

    async def get(
        self, to: str | None = None, *, chat: str | None = None, session_id: str | None = None
    ) -> d.ContactInfo:
        """As the record knows them."""
        return await self._ask(
            "contact.get", d.ContactRef(to=to, chat=chat, session_id=session_id), d.ContactInfo
        )

    async def list(
        self, *, session_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> d.Contacts:
        args = d.ContactList(session_id=session_id, limit=limit, cursor=cursor)
        return await self._ask("contact.list", args, d.Contacts)


class Groups(Part):
    """``group.*``"""

    async def get(self, session_id: str, group: str) -> d.GroupInfo:
        return await self._ask("group.get", d.GroupRef(session_id=session_id, group=group), d.GroupInfo)

    async def list(self, session_id: str, *, limit: int = 50, cursor: str | None = None) -> d.Groups:
        args = d.GroupList(session_id=session_id, limit=limit, cursor=cursor)
        return await self._ask("group.list", args, d.Groups)
