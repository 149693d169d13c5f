"""``group.*``: an engine's words about groups into the contract's."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import ids
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts.event_data import Chat, Person
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb.phone import parse_recipient
from pywhatsweb_fleet.dispatcher.live import Handler, Live, recipient
from pywhatsweb_fleet.dispatcher.reading import Tenant

LINK: Final = "https://chat.whatsapp.com/"
_CODE: Final = re.compile(r"(?:https?://chat\.whatsapp\.com/(?:invite/)?)?([A-Za-z0-9_-]{4,64})/?(?:\?.*)?")
_SETTINGS: Final = (
    "subject",
    "description",
    "announce",
    "locked",
    "approval",
    "member_add",
    "disappearing_s",
)
_FEATURES: Final = {"approval": "group_approval", "disappearing_s": "group_disappearing"}
"""Settings that not every engine knows."""


class _Told(msgspec.Struct, frozen=True):
    """An engine's group; times in milliseconds."""

    group: str
    subject: str | None = None
    description: str | None = None
    owner: Person | None = None
    created_at: int | None = None
    size: int = 0
    announce: bool = False
    locked: bool = False
    approval: bool = False
    member_add: Literal["admins", "all"] = "admins"
    disappearing_s: int = 0
    participants: list[lv.GroupMember] = []


class _Page(msgspec.Struct, frozen=True):
    groups: list[_Told]
    more: bool = False


class _Request(Person, frozen=True, kw_only=True):
    requested_at: int | None = None
    method: str | None = None


class Groups:
    """Each asks the session's owner."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def answers(self) -> dict[str, Handler]:
        return {
            "group.get": self.get,
            "group.list": self.list,
            "group.create": self.create,
            "group.update": self.update,
            "group.leave": self.leave,
            "group.invite": self._linked("group.invite"),
            "group.revoke": self._linked("group.revoke"),
            "group.inspect": self.inspect,
            "group.join": self.join,
            "group.requests": self.requests,
            **{
                f"group.{verb}": self._changed(f"group.{verb}")
                for verb in ("add", "remove", "promote", "demote", "approve", "reject")
            },
        }

    async def get(self, tenant: Tenant, args: d.GroupRef) -> lv.Group:
        return _group(
            tenant, await self._live.ask(tenant, args.session_id, "group.get", to=named(args.group))
        )

    async def list(self, tenant: Tenant, args: d.GroupList) -> lv.Groups:
        """In the order of their ids; the cursor is the last one's."""
        after = named(args.cursor, ErrorCode.E_INVALID_CURSOR)["group"] if args.cursor else ""
        content = {"after": after, "limit": args.limit}
        page = msgspec.convert(await self._live.ask(tenant, args.session_id, "group.list", content), _Page)
        groups = [_described(tenant, told) for told in page.groups]
        return lv.Groups(groups=groups, cursor=groups[-1].group if page.more and groups else None)

    async def create(self, tenant: Tenant, args: lv.GroupCreate) -> lv.Group:
        content = {"subject": args.subject, "participants": _people(tenant, args.participants)}
        return _group(tenant, await self._live.ask(tenant, args.session_id, "group.create", content))

    async def update(self, tenant: Tenant, args: lv.GroupUpdate) -> lv.Group:
        content = {name: value for name in _SETTINGS if (value := getattr(args, name)) is not None}
        if not content:
            raise RequestError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "subject"})
        for name, feature in _FEATURES.items():
            if name in content:
                await self._live.check(tenant, args.session_id, feature)
        await self._live.ask(tenant, args.session_id, "group.update", content, named(args.group))
        return await self.get(tenant, args)

    async def leave(self, tenant: Tenant, args: d.GroupRef) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, "group.leave", to=named(args.group))
        return lv.Acted(session_id=args.session_id)

    async def inspect(self, tenant: Tenant, args: lv.GroupInvitation) -> lv.Group:
        content = {"code": _code(args.code)}
        return _group(tenant, await self._live.ask(tenant, args.session_id, "group.inspect", content))

    async def join(self, tenant: Tenant, args: lv.GroupInvitation) -> lv.GroupJoined:
        told = await self._live.ask(tenant, args.session_id, "group.join", {"code": _code(args.code)})
        return msgspec.convert(told, lv.GroupJoined)

    async def requests(self, tenant: Tenant, args: d.GroupRef) -> lv.GroupRequests:
        told = await self._live.ask(tenant, args.session_id, "group.requests", to=named(args.group))
        return lv.GroupRequests(
            requests=[
                lv.GroupRequest(
                    pn=one.pn,
                    lid=one.lid,
                    requested_at=timestamp(one.requested_at) if one.requested_at else None,
                    method=one.method,
                )
                for one in msgspec.convert(told, list[_Request])
            ]
        )

    def _linked(self, verb: str) -> Handler:
        async def answer(tenant: Tenant, args: d.GroupRef) -> lv.GroupLink:
            to = named(args.group)
            code = (await self._live.ask(tenant, args.session_id, verb, to=to))["code"]
            return lv.GroupLink(group=to["group"], code=code, link=LINK + code)

        return answer

    def _changed(self, verb: str) -> Handler:
        async def answer(tenant: Tenant, args: lv.GroupPeople) -> lv.GroupOutcome:
            content = {"participants": _people(tenant, args.participants)}
            told = await self._live.ask(tenant, args.session_id, verb, content, named(args.group))
            return lv.GroupOutcome(participants=msgspec.convert(told, list[lv.GroupPerson]))

        return answer


def named(group: str, code: ErrorCode = ErrorCode.E_GROUP_NOT_FOUND) -> dict[str, str]:
    """Raises RequestError for what is no group's id."""
    try:
        found = parse_recipient(group)
    except ContractError:
        found = None
    if found is None or found.kind != "group":
        raise RequestError(code)
    return {"group": found.value}


def _people(tenant: Tenant, participants: list[str]) -> list[dict[str, str]]:
    """Raises ContractError(E_INVALID_PHONE) or RequestError(E_INVALID_RECIPIENT)."""
    return [recipient(tenant, who, path="$.participants") for who in participants]


def _code(given: str) -> str:
    found = _CODE.fullmatch(given.strip())
    if found is None:
        raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.code"})
    return found[1]


def _group(tenant: Tenant, told: Any) -> lv.Group:
    return _described(tenant, msgspec.convert(told, _Told))


def _described(tenant: Tenant, told: _Told) -> lv.Group:
    fields = {name: getattr(told, name) for name in _Told.__struct_fields__ if name != "created_at"}
    return lv.Group(
        chat=Chat(key=ids.chat_key(tenant.key, group=told.group), group=told.group),
        created_at=timestamp(told.created_at) if told.created_at else None,
        **fields,
    )
