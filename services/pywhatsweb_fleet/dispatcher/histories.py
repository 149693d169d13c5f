"""``history.fetch``: the account's phone is asked for the messages of a chat before the oldest that is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pywhatsweb.contracts import history_data as hd
from pywhatsweb.contracts import ids
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.dispatcher.live import Handler, Live
from pywhatsweb_fleet.dispatcher.marks import chat_of
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.storage import conversation
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store

VERB = "history.fetch"


class Histories:
    """Asks the session's owner; what the phone tells comes as events."""

    def __init__(self, live: Live, store: Store) -> None:
        self._live = live
        self._store = store

    def answers(self) -> dict[str, Handler]:
        return {VERB: self.fetch}

    async def fetch(self, tenant: Tenant, args: hd.HistoryFetch) -> hd.HistoryFetched:
        """RequestError: E_MESSAGE_NOT_FOUND when nothing of the chat is known to begin at, E_PHONE_SILENT."""
        await self._live.check(tenant, args.session_id, VERB)
        before = _point(args.before) if args.before is not None else await self._oldest(tenant, args)
        content = {"before": before, "count": args.count, "wait_ms": round(args.wait_s * 1000)}
        told = await self._live.ask(tenant, args.session_id, VERB, content, chat_of(tenant, args.to))
        oldest = told.get("oldest")
        return hd.HistoryFetched(
            session_id=args.session_id,
            request_id=str(told["request_id"]),
            messages=int(told["messages"]),
            oldest=point_of(oldest) if oldest else None,
            more=told.get("more"),
        )

    async def _oldest(self, tenant: Tenant, args: hd.HistoryFetch) -> dict[str, Any]:
        key = ids.chat_key(tenant.key, **chat_of(tenant, args.to))
        try:
            row = await self._store.read(conversation.oldest, tenant.id, key, args.session_id)
        except StorageUnavailable:
            raise RequestError(ErrorCode.E_STORAGE_UNAVAILABLE) from None
        if row is None:
            raise RequestError(ErrorCode.E_MESSAGE_NOT_FOUND, {"reason": "no message of this chat is known"})
        return {"message_id": row.message_id, "from_self": row.from_self, "at": row.sent_at}


def point_of(told: dict[str, Any]) -> hd.MessagePoint:
    """An engine's, whose `at` is milliseconds."""
    return hd.MessagePoint(
        message_id=str(told["message_id"]),
        from_self=bool(told["from_self"]),
        sent_at=timestamp(int(told["at"])),
    )


def _point(before: hd.MessagePoint) -> dict[str, Any]:
    """Raises RequestError(E_INVALID_FIELD) for what is no time with its zone."""
    try:
        at = datetime.fromisoformat(before.sent_at)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.before.sent_at"})
    return {
        "message_id": before.message_id,
        "from_self": before.from_self,
        "at": round(at.timestamp() * 1000),
    }
