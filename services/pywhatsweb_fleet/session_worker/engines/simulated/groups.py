"""Groups of the simulated WhatsApp: made, changed, joined by their links. Each member's session hears of each change.

They live as long as the process, and are shared by its sessions.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pywhatsweb_fleet.session_worker.engines.port import Action, Done, EngineError
from pywhatsweb_fleet.session_worker.engines.simulated.account import Account, known_person
from pywhatsweb_fleet.session_worker.engines.simulated.settings import SimulatedSettings

if TYPE_CHECKING:
    from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp

_SETTINGS: Final = ("announce", "locked", "approval", "member_add", "disappearing_s")
_NOT_THERE: Final = "404"
_THERE: Final = "409"


class _Group(msgspec.Struct):
    """Members and who waits, by LID."""

    id: str
    subject: str
    owner: dict[str, Any]
    created_at: int
    code: str
    description: str = ""
    settings: dict[str, Any] = {}
    members: dict[str, dict[str, Any]] = {}
    waiting: dict[str, dict[str, Any]] = {}

    def told(self, whole: bool = True) -> dict[str, Any]:
        return {
            "group": self.id,
            "subject": self.subject,
            "description": self.description or None,
            "owner": self.owner,
            "created_at": self.created_at,
            "size": len(self.members),
            **self.settings,
            "participants": [*self.members.values()] if whole else [],
        }


class _Ask(msgspec.Struct, frozen=True):
    """An act of an account, and when."""

    account: Account
    settings: SimulatedSettings
    action: Action
    now_ms: int

    @property
    def me(self) -> dict[str, Any]:
        me = self.account.me()
        return {"pn": me.pn, "lid": me.lid}

    def people(self) -> list[dict[str, Any]]:
        named = self.action.content.get("participants") or ()
        return [known_person(one.get("pn"), one.get("lid")) for one in named]

    def is_there(self, person: dict[str, Any]) -> bool:
        return person["pn"] not in self.settings.absent


class Groups:
    """Of one simulated WhatsApp."""

    def __init__(self, whatsapp: SimulatedWhatsApp) -> None:
        self._whatsapp = whatsapp
        self._groups: dict[str, _Group] = {}

    def answer(self, account: Account, settings: SimulatedSettings, action: Action, now_ms: int) -> Done:
        """Raises EngineError."""
        return Done(action.id, now_ms, VERBS[action.action](self, _Ask(account, settings, action, now_ms)))

    def _of(self, ask: _Ask, *, admin: bool = False) -> _Group:
        """The group that the act names. Raises EngineError when the account is not in it, or no admin as it must be."""
        group = self._groups.get(ask.action.to.group or "" if ask.action.to else "")
        mine = group.members.get(str(ask.me["lid"])) if group is not None else None
        if group is None or mine is None:
            raise EngineError("E_GROUP_NOT_FOUND")
        if admin and mine["role"] == "member":
            raise EngineError("E_NOT_GROUP_ADMIN")
        return group

    def _tell(
        self, group: _Group, ask: _Ask, change: str, also: Iterable[dict[str, Any]] = (), **more: Any
    ) -> None:
        lids = {*group.members, *(str(one["lid"]) for one in also)}
        data = {"group": group.id, "change": change, "by": ask.me, **more}
        for account in self._whatsapp.accounts():
            if account.me().lid in lids:
                self._whatsapp.deliver(account.session, f"group:{secrets.token_hex(8)}", "group", data)

    def get(self, ask: _Ask) -> dict[str, Any]:
        return self._of(ask).told()

    def page(self, ask: _Ask) -> dict[str, Any]:
        after, limit = str(ask.action.content.get("after") or ""), int(ask.action.content.get("limit") or 50)
        groups = [group for group in self._groups.values() if ask.me["lid"] in group.members]
        mine = sorted((group for group in groups if group.id > after), key=lambda group: group.id)
        return {
            "groups": [group.told(whole=False) for group in mine[:limit]],
            "more": len(mine) > limit,
        }

    def create(self, ask: _Ask) -> dict[str, Any]:
        """Whom the settings call absent, the group lacks."""
        number, code = f"1203{secrets.randbelow(10**14):014}", secrets.token_urlsafe(16)
        made = _Group(number, str(ask.action.content.get("subject")), ask.me, ask.now_ms, code)
        made.members[str(ask.me["lid"])] = {**ask.me, "role": "owner"}
        for person in filter(ask.is_there, ask.people()):
            made.members.setdefault(str(person["lid"]), {**person, "role": "member"})
        self._groups[made.id] = made
        self._tell(made, ask, "create", subject=made.subject)
        return made.told()

    def update(self, ask: _Ask) -> None:
        group, content = self._of(ask), ask.action.content
        changed = {name: content[name] for name in _SETTINGS if content.get(name) is not None}
        if changed or group.settings.get("locked"):
            group = self._of(ask, admin=True)
        if content.get("subject") is not None:
            group.subject = str(content["subject"])
            self._tell(group, ask, "subject", subject=group.subject)
        if content.get("description") is not None:
            group.description = str(content["description"])
            self._tell(group, ask, "description", description=group.description)
        if changed:
            group.settings |= changed
            self._tell(group, ask, "settings", settings=changed)

    def leave(self, ask: _Ask) -> None:
        group = self._of(ask)
        del group.members[str(ask.me["lid"])]
        self._tell(group, ask, "leave", also=[ask.me], participants=[ask.me])

    def invite(self, ask: _Ask) -> dict[str, Any]:
        return {"code": self._of(ask, admin=True).code}

    def revoke(self, ask: _Ask) -> dict[str, Any]:
        group = self._of(ask, admin=True)
        group.code = secrets.token_urlsafe(16)
        self._tell(group, ask, "invite")
        return {"code": group.code}

    def _invited(self, ask: _Ask) -> _Group:
        code = ask.action.content.get("code")
        for group in self._groups.values():
            if group.code == code:
                return group
        raise EngineError("E_GROUP_NOT_FOUND")

    def inspect(self, ask: _Ask) -> dict[str, Any]:
        return self._invited(ask).told()

    def join(self, ask: _Ask) -> dict[str, Any]:
        """Where members are let in, by an admin; who is there already stays."""
        group, me = self._invited(ask), str(ask.me["lid"])
        if me not in group.members and group.settings.get("approval"):
            group.waiting[me] = {**ask.me, "requested_at": ask.now_ms, "method": "invite_link"}
            self._tell(group, ask, "join_request", participants=[ask.me], state="created")
            return {"group": group.id, "pending": True}
        if me not in group.members:
            group.members[me] = {**ask.me, "role": "member"}
            self._tell(group, ask, "add", participants=[ask.me])
        return {"group": group.id, "pending": False}

    def requests(self, ask: _Ask) -> list[dict[str, Any]]:
        return [*self._of(ask, admin=True).waiting.values()]

    def change(self, ask: _Ask) -> list[dict[str, Any]]:
        """Adds, removes, promotes, demotes, lets in or refuses people: an outcome each."""
        verb, group = ask.action.action.removeprefix("group."), self._of(ask, admin=True)
        told, done = [], []
        for person in ask.people():
            reason = _CHANGES[verb](group, person) if ask.is_there(person) else _NOT_THERE
            told.append({**person, "ok": reason is None, "reason": reason})
            if reason is None:
                done.append(person)
        if done:
            named = {"approve": "add", "reject": "join_request"}.get(verb, verb)
            more = {"state": "rejected"} if verb == "reject" else {}
            self._tell(group, ask, named, also=done, participants=done, **more)
        return told


def _add(group: _Group, person: dict[str, Any]) -> str | None:
    lid = str(person["lid"])
    if lid in group.members:
        return _THERE
    group.members[lid] = {**person, "role": "member"}
    return None


def _remove(group: _Group, person: dict[str, Any]) -> str | None:
    return None if group.members.pop(str(person["lid"]), None) else _NOT_THERE


def _ranked(role: str) -> Callable[[_Group, dict[str, Any]], str | None]:
    def change(group: _Group, person: dict[str, Any]) -> str | None:
        member = group.members.get(str(person["lid"]))
        if member is None:
            return _NOT_THERE
        if member["role"] != "owner":
            member["role"] = role
        return None

    return change


def _approve(group: _Group, person: dict[str, Any]) -> str | None:
    return _NOT_THERE if group.waiting.pop(str(person["lid"]), None) is None else _add(group, person)


def _reject(group: _Group, person: dict[str, Any]) -> str | None:
    return _NOT_THERE if group.waiting.pop(str(person["lid"]), None) is None else None


_CHANGES: Final[dict[str, Callable[[_Group, dict[str, Any]], str | None]]] = {
    "add": _add,
    "remove": _remove,
    "promote": _ranked("admin"),
    "demote": _ranked("member"),
    "approve": _approve,
    "reject": _reject,
}
VERBS: Final[dict[str, Callable[[Groups, _Ask], Any]]] = {
    "group.get": Groups.get,
    "group.list": Groups.page,
    "group.create": Groups.create,
    "group.update": Groups.update,
    "group.leave": Groups.leave,
    "group.invite": Groups.invite,
    "group.revoke": Groups.revoke,
    "group.inspect": Groups.inspect,
    "group.join": Groups.join,
    "group.requests": Groups.requests,
    **{f"group.{verb}": Groups.change for verb in _CHANGES},
}
