"""``contact.*``, ``group.*``, ``profile.*`` and calls: what the record knows, and what a live session is asked.

A live question needs a session that is WORKING: else RequestError with the code that says why (E_SESSION_NOT_READY, …).
An act that raises RequestError(E_OUTCOME_UNKNOWN) or DeadlineError may have been done: look before you ask again.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Literal

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

    async def watch(self, to: str, *, session_id: str) -> None:
        """`presence` events of theirs come from now on, until the session's link closes."""
        await self._ask("presence.subscribe", lv.ContactAct(to=to, session_id=session_id), lv.Acted)

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
    """``group.*``, of a session that works. `group` is its id; people are numbers or ``lid:…``."""

    async def get(self, session_id: str, group: str) -> lv.Group:
        """With its members. RequestError(E_GROUP_NOT_FOUND) when the account is not in it."""
        return await self._ask("group.get", d.GroupRef(session_id=session_id, group=group), lv.Group)

    async def list(self, session_id: str, *, limit: int = 50, cursor: str | None = None) -> lv.Groups:
        """Without their members, a page at a time."""
        args = d.GroupList(session_id=session_id, limit=limit, cursor=cursor)
        return await self._ask("group.list", args, lv.Groups)

    async def create(self, session_id: str, subject: str, participants: Sequence[str] = ()) -> lv.Group:
        """Whom WhatsApp does not let be added is not among its `participants`: send them the link."""
        args = lv.GroupCreate(session_id=session_id, subject=subject, participants=[*participants])
        return await self._ask("group.create", args, lv.Group)

    async def update(
        self,
        session_id: str,
        group: str,
        *,
        subject: str | None = None,
        description: str | None = None,
        announce: bool | None = None,
        locked: bool | None = None,
        approval: bool | None = None,
        member_add: Literal["admins", "all"] | None = None,
        disappearing_s: int | None = None,
    ) -> lv.Group:
        """What is None stays. RequestError(E_NOT_GROUP_ADMIN) when only admins may."""
        args = lv.GroupUpdate(
            session_id=session_id, group=group, subject=subject, description=description, announce=announce,
            locked=locked, approval=approval, member_add=member_add, disappearing_s=disappearing_s,
        )  # fmt: skip
        return await self._ask("group.update", args, lv.Group)

    async def add(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        """What became of each, as of the next five."""
        return await self._change("group.add", session_id, group, participants)

    async def remove(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        return await self._change("group.remove", session_id, group, participants)

    async def promote(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        return await self._change("group.promote", session_id, group, participants)

    async def demote(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        return await self._change("group.demote", session_id, group, participants)

    async def approve(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        """Lets in who waits."""
        return await self._change("group.approve", session_id, group, participants)

    async def reject(
        self, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        return await self._change("group.reject", session_id, group, participants)

    async def requests(self, session_id: str, group: str) -> builtins.list[lv.GroupRequest]:
        """Who waits to be let in."""
        args = d.GroupRef(session_id=session_id, group=group)
        return (await self._ask("group.requests", args, lv.GroupRequests)).requests

    async def leave(self, session_id: str, group: str) -> None:
        await self._ask("group.leave", d.GroupRef(session_id=session_id, group=group), lv.Acted)

    async def invite(self, session_id: str, group: str) -> lv.GroupLink:
        """Its invitation link, as admins see it."""
        return await self._ask("group.invite", d.GroupRef(session_id=session_id, group=group), lv.GroupLink)

    async def revoke(self, session_id: str, group: str) -> lv.GroupLink:
        """Makes the link void; the new one."""
        return await self._ask("group.revoke", d.GroupRef(session_id=session_id, group=group), lv.GroupLink)

    async def inspect(self, session_id: str, code: str) -> lv.Group:
        """The group that an invitation (code or link) is for."""
        return await self._ask(
            "group.inspect", lv.GroupInvitation(session_id=session_id, code=code), lv.Group
        )

    async def join(self, session_id: str, code: str) -> lv.GroupJoined:
        """By an invitation (code or link)."""
        return await self._ask(
            "group.join", lv.GroupInvitation(session_id=session_id, code=code), lv.GroupJoined
        )

    async def set_picture(self, session_id: str, group: str, data: bytes | None) -> None:
        """As that of a profile."""
        args = lv.GroupPicture(session_id=session_id, group=group, data=data)
        await self._ask("group.picture", args, lv.Acted)

    async def _change(
        self, verb: str, session_id: str, group: str, participants: Sequence[str]
    ) -> builtins.list[lv.GroupPerson]:
        args = lv.GroupPeople(session_id=session_id, group=group, participants=[*participants])
        return (await self._ask(verb, args, lv.GroupOutcome)).participants


class Profiles(Part):
    """``profile.*``: what a session's account shows of itself."""

    async def get(self, session_id: str) -> lv.Profile:
        return await self._ask("profile.get", d.SessionRef(session_id=session_id), lv.Profile)

    async def set_about(self, session_id: str, about: str) -> None:
        await self._ask("profile.about", lv.ProfileAbout(session_id=session_id, about=about), lv.Acted)

    async def set_name(self, session_id: str, name: str) -> None:
        """What people see who have not saved the number."""
        await self._ask("profile.name", lv.ProfileName(session_id=session_id, name=name), lv.Acted)

    async def set_picture(self, session_id: str, data: bytes | None) -> None:
        """The middle of an image; None: none any more. RequestError(E_MEDIA_CORRUPT) for what is no image."""
        await self._ask("profile.picture", lv.ProfilePicture(session_id=session_id, data=data), lv.Acted)


class Calls(Part):
    """``call.*``: `call` events tell who rings."""

    async def reject(self, session_id: str, call_id: str, to: str) -> None:
        """Refuses a call that rings; `to` is who calls."""
        await self._ask("call.reject", lv.CallReject(session_id=session_id, id=call_id, to=to), lv.Acted)
