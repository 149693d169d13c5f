"""The questions that the record answers: arguments and tenant in, a contract's result out. One read each."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import ids
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts.event_data import Chat, Person
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb.phone import brazil_candidates, parse_recipient
from pywhatsweb_fleet.persistence import pages, searching
from pywhatsweb_fleet.persistence.asking import Asker, chat_keys, from_cursor, to_cursor
from pywhatsweb_fleet.storage import audit, boards, conversation, people, sessions
from pywhatsweb_fleet.storage.boards import ChatRow
from pywhatsweb_fleet.storage.store import Store

__all__ = ["Asker", "Queries"]


class Queries:
    """Over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def chat_list(self, who: Asker, args: d.ChatList) -> d.Chats:
        return await self._store.read(_chat_list, who, args)

    async def chat_messages(self, who: Asker, args: d.ChatMessages) -> d.Messages:
        """E_CHAT_NOT_FOUND when nothing is known of the chat."""
        return await self._store.read(_chat_messages, who, args)

    async def message_get(self, who: Asker, args: r.MessageGet) -> d.StoredMessage:
        """E_MESSAGE_NOT_FOUND when the record does not have it."""
        return await self._store.read(_message_get, who, args)

    async def contact_get(self, who: Asker, args: d.ContactRef) -> d.ContactInfo:
        """E_CONTACT_NOT_FOUND when the person was never seen."""
        return await self._store.read(_contact_get, who, args)

    async def contact_list(self, who: Asker, args: d.ContactList) -> d.Contacts:
        return await self._store.read(_contact_list, who, args)

    async def message_search(self, who: Asker, args: r.MessageSearch) -> d.Messages:
        return await self._store.read(searching.message_search, who, args)

    async def analytics_counts(self, who: Asker, args: r.AnalyticsCounts) -> r.Counts:
        return await self._store.read(searching.analytics_counts, who, args)

    async def analytics_responses(self, who: Asker, args: r.AnalyticsResponses) -> r.Responses:
        return await self._store.read(searching.analytics_responses, who, args)

    async def audit_list(self, who: Asker, args: ld.AuditList) -> ld.Audit:
        return await self._store.read(_audit_list, who, args)


def _chat_list(conn: Connection, who: Asker, args: d.ChatList) -> d.Chats:
    after = from_cursor(args.cursor, boards.Position)
    rows = boards.page(
        conn,
        who.id,
        status=args.status,
        owner_id=args.owner_id,
        session=args.session_id,
        after=after,
        limit=args.limit,
    )
    addresses = [
        name for row in rows for name in (people.address(None, row.lid), people.address(row.pn, None)) if name
    ]
    names = people.names_of(conn, who.id, addresses)
    subjects = sessions.group_names(conn, who.id, [row.group_id for row in rows if row.group_id])
    waiting = boards.unread(conn, who.id, rows)
    chats = [_chat_info(row, names, subjects, waiting.get((row.session, row.chat), 0)) for row in rows]
    last = rows[-1] if len(rows) == args.limit else None
    return d.Chats(chats=chats, cursor=to_cursor((last.last_at, last.chat, last.session)) if last else None)


def _chat_info(row: ChatRow, names: dict[str, str], subjects: dict[str, str], unread: int) -> d.ChatInfo:
    return d.ChatInfo(
        chat=Chat(key=row.chat, pn=row.pn, lid=row.lid, group=row.group_id),
        session_id=row.session,
        status=KanbanStatus(row.status or "new"),
        name=subjects.get(row.group_id)
        if row.group_id
        else names.get(f"lid:{row.lid}") or names.get(f"pn:{row.pn}"),
        owner_id=row.owner_id,
        last_message_at=_time(row.last_at),
        unread=unread,
        assigned_at=_time(row.assigned_at),
        assigned_by=row.assigned_by,
        completed_at=_time(row.completed_at),
        completed_by=row.completed_by,
        inbox_id=row.inbox,
    )


def _chat_messages(conn: Connection, who: Asker, args: d.ChatMessages) -> d.Messages:
    after = from_cursor(args.cursor, conversation.Position)
    keys = [args.chat] if args.chat is not None else chat_keys(conn, who, args.to or "")
    rows = conversation.page(conn, who.id, keys, args.session_id, after, args.limit)
    if not rows and after is None and not any(boards.by_key(conn, who.id, key) for key in keys):
        raise RequestError(ErrorCode.E_CHAT_NOT_FOUND)
    last = rows[-1] if len(rows) == args.limit else None
    return d.Messages(
        messages=pages.stored(conn, who.id, rows),
        cursor=to_cursor((last.sent_at, last.event_id)) if last else None,
    )


def _message_get(conn: Connection, who: Asker, args: r.MessageGet) -> d.StoredMessage:
    rows = [
        row
        for row in conversation.by_ids(conn, who.id, [args.id])
        if row.kind == "message" and args.session_id in (None, row.session)
    ]
    if not rows:
        raise RequestError(ErrorCode.E_MESSAGE_NOT_FOUND)
    return pages.stored(conn, who.id, rows[-1:])[0]


def _contact_get(conn: Connection, who: Asker, args: d.ContactRef) -> d.ContactInfo:
    for pn, lid in _addresses(conn, who, args):
        if known := people.get(conn, who.id, pn=pn, lid=lid):
            return _contact_info(who, known)
    raise RequestError(ErrorCode.E_CONTACT_NOT_FOUND)


def _addresses(conn: Connection, who: Asker, args: d.ContactRef) -> list[tuple[str | None, str | None]]:
    if args.chat is not None:
        return [(row.pn, row.lid) for row in boards.by_key(conn, who.id, args.chat) if row.pn or row.lid]
    recipient = parse_recipient(args.to or args.phone_number or "", who.region)
    if recipient.kind == "lid":
        return [(None, recipient.value)]
    return [(number, None) for number in brazil_candidates(recipient.value)] if recipient.kind == "pn" else []


def _contact_list(conn: Connection, who: Asker, args: d.ContactList) -> d.Contacts:
    rows = people.page(conn, who.id, from_cursor(args.cursor, str) or "", args.limit)
    last = rows[-1] if len(rows) == args.limit else None
    contacts = [_contact_info(who, row) for row in rows]
    return d.Contacts(contacts=contacts, cursor=to_cursor(last.address) if last else None)


def _contact_info(who: Asker, known: people.Known) -> d.ContactInfo:
    return d.ContactInfo(
        person=Person(pn=known.pn, lid=known.lid, name=known.name),
        key=ids.chat_key(who.key, pn=known.pn, lid=known.lid),
        updated_at=_time(known.named_at),
    )


def _audit_list(conn: Connection, who: Asker, args: ld.AuditList) -> ld.Audit:
    rows = audit.page(
        conn,
        who.id,
        action=args.action,
        actor=args.actor,
        since=pages.milliseconds(args.since),
        until=pages.milliseconds(args.until),
        below=from_cursor(args.cursor, int),
        limit=args.limit,
    )
    last = rows[-1] if len(rows) == args.limit else None
    entries = [
        ld.AuditEntry(
            id=str(row.sequence),
            at=timestamp(row.entry.at),
            action=row.entry.action,
            actor=row.entry.actor,
            target=row.entry.target,
            reason=row.entry.reason,
            address=row.entry.address,
            correlation_id=row.entry.correlation_id,
            hash=row.hash,
            details=msgspec.json.decode(row.entry.detail, type=dict[str, Any]),
        )
        for row in rows
    ]
    return ld.Audit(entries=entries, cursor=to_cursor(last.sequence) if last else None)


def _time(ms: int) -> str | None:
    return timestamp(ms) if ms else None
