"""``chat.archive``, ``chat.mute``, ``chat.pin``, ``chat.mark`` and ``message.star``: how the account sees its chats."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pywhatsweb.contracts import ids
from pywhatsweb.contracts import live_data as lv
from pywhatsweb.contracts import marking_data as md
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb.phone import parse_recipient
from pywhatsweb_fleet.dispatcher.live import Handler, Live, recipient
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.storage import conversation
from pywhatsweb_fleet.storage.conversation import MessageRow
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store


class Marks:
    """Each asks the session's owner, with what the record knows of the messages."""

    def __init__(self, live: Live, store: Store) -> None:
        self._live = live
        self._store = store

    def answers(self) -> dict[str, Handler]:
        return {
            "chat.archive": self.archive,
            "chat.mute": self.mute,
            "chat.pin": self.pin,
            "chat.mark": self.mark,
            "message.star": self.star,
        }

    async def archive(self, tenant: Tenant, args: md.ChatArchive) -> lv.Acted:
        return await self._up_to_newest(tenant, args, "chat.archive", archived=args.archived)

    async def mark(self, tenant: Tenant, args: md.ChatUnread) -> lv.Acted:
        return await self._up_to_newest(tenant, args, "chat.mark", unread=args.unread)

    async def mute(self, tenant: Tenant, args: md.ChatMute) -> lv.Acted:
        until = _milliseconds(args.until) if args.until is not None else None
        return await self._ask(tenant, args, "chat.mute", muted=args.muted, until=until)

    async def pin(self, tenant: Tenant, args: md.ChatPin) -> lv.Acted:
        return await self._ask(tenant, args, "chat.pin", pinned=args.pinned)

    async def star(self, tenant: Tenant, args: md.MessageStar) -> lv.Acted:
        whose = await self._whose(tenant, args)
        return await self._ask(
            tenant, args, "message.star", message_id=args.message_id, starred=args.starred, **whose
        )

    async def _whose(self, tenant: Tenant, args: md.MessageStar) -> dict[str, Any]:
        """Raises RequestError(E_MESSAGE_NOT_FOUND) for one that neither the record nor the caller knows."""
        if args.from_self is not None:
            author = recipient(tenant, args.author, path="$.author") if args.author else None
            return {"from_self": args.from_self, "participant": author}
        try:
            rows = await self._store.read(conversation.by_ids, tenant.id, [args.message_id])
        except StorageUnavailable:
            raise RequestError(ErrorCode.E_STORAGE_UNAVAILABLE) from None
        mine = [row for row in rows if row.kind == "message" and row.session == args.session_id]
        if not mine:
            raise RequestError(ErrorCode.E_MESSAGE_NOT_FOUND)
        return {"from_self": mine[0].from_self, "participant": _author(mine[0])}

    async def _up_to_newest(self, tenant: Tenant, args: md.ChatMark, verb: str, **content: Any) -> lv.Acted:
        key = ids.chat_key(tenant.key, **chat_of(tenant, args.to))
        try:
            rows = await self._store.read(conversation.page, tenant.id, [key], args.session_id, None, 1)
        except StorageUnavailable:
            raise RequestError(ErrorCode.E_STORAGE_UNAVAILABLE) from None
        for row in rows:
            content["newest"] = {
                "message_id": row.message_id,
                "from_self": row.from_self,
                "participant": _author(row),
                "at": row.sent_at,
            }
        return await self._ask(tenant, args, verb, **content)

    async def _ask(self, tenant: Tenant, args: md.ChatMark, verb: str, **content: Any) -> lv.Acted:
        await self._live.ask(tenant, args.session_id, verb, content, chat_of(tenant, args.to))
        return lv.Acted(session_id=args.session_id)


def chat_of(tenant: Tenant, to: str) -> dict[str, str]:
    """A person or group, as an engine's action names them. Raises ContractError(E_INVALID_PHONE)."""
    found = parse_recipient(to, tenant.record.region)
    return {found.kind: found.value}


def _author(row: MessageRow) -> dict[str, str] | None:
    known = {"pn": row.sender_pn, "lid": row.sender_lid}
    return {name: value for name, value in known.items() if value} or None


def _milliseconds(until: str) -> int:
    """Raises RequestError(E_INVALID_FIELD) for what is no time with its zone."""
    try:
        at = datetime.fromisoformat(until)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.until"})
    return round(at.timestamp() * 1000)
