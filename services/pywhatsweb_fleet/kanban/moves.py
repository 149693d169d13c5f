"""The control plane's verbs on the board: arguments and tenant in, a contract's result out. One transaction each."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import ids
from pywhatsweb.contracts import kanban_data as k
from pywhatsweb.contracts.event_data import Chat
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb.contracts.rule_data import WebhookAction
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb.phone import brazil_candidates, parse_recipient
from pywhatsweb_fleet.kanban import hours
from pywhatsweb_fleet.kanban.board import Attendant, Card, Move, Refused
from pywhatsweb_fleet.kanban.policy import deadlines
from pywhatsweb_fleet.kanban.recording import Board, card_of, policy_of, save_attendant, team_of
from pywhatsweb_fleet.storage import boards, kanban, people, webhooks
from pywhatsweb_fleet.storage.kanban import PolicyRow

_QUEUE_NUDGE = 200


class Asker(NamedTuple):
    """The tenant of the request's subject."""

    id: TenantId
    key: TenantKey
    region: str


class _Types(msgspec.Struct):
    """Of a webhook's configuration."""

    types: list[str] | None = None


class _Found(NamedTuple):
    session: str
    chat: Chat


def chat_move(conn: Connection, who: Asker, args: Any, verb: str) -> k.CardInfo:
    """Any move of a card. E_CHAT_NOT_FOUND, E_INVALID_TRANSITION, or E_CONFLICT when another was faster."""
    found = _find(conn, who, args)
    now = time.time_ns() // 1_000_000
    until = getattr(args, "until", None)
    move = Move(
        id=args.id or ids.new_event_id(), at=now, chat=found.chat, verb=verb,  # type: ignore[arg-type]
        by=args.by, owner=getattr(args, "owner_id", None), reason=getattr(args, "reason", None),
        add=tuple(getattr(args, "add", ())), remove=tuple(getattr(args, "remove", ())),
        priority=getattr(args, "priority", None), text=getattr(args, "text", ""),
        until=_milliseconds(until) if until else 0,
    )  # fmt: skip
    board = Board(conn, who.id, who.key, now)
    try:
        card = board.advance(found.session, found.chat.key, move, args.version)
    except Refused as refused:
        raise RequestError(refused.code, refused.details) from None
    assert card is not None  # noqa: S101 - a move makes one
    return _info(conn, _home(conn, who, found).session, card, board.policy, who)


def chat_card(conn: Connection, who: Asker, args: d.ChatRef) -> k.CardInfo:
    found = _home(conn, who, _find(conn, who, args))
    row = kanban.card(conn, who.id, found.chat.key, found.session)
    card = card_of(row) if row is not None else Card(chat=found.chat)
    return _info(conn, found.session, card, policy_of(conn, who.id), who)


def chat_history(conn: Connection, who: Asker, args: k.ChatHistory) -> k.CardChanges:
    found = _home(conn, who, _find(conn, who, args))
    rows = kanban.history(
        conn, who.id, found.chat.key, found.session, below=_below(args.cursor), limit=args.limit
    )
    changes = [
        k.CardChange(
            version=row.version, at=timestamp(row.at), change=row.change, status=row.status,
            previous=row.previous, owner_id=row.owner, by=row.actor, reason=row.reason,
            details=msgspec.json.decode(row.detail, type=dict[str, Any]),
        )
        for row in rows
    ]  # fmt: skip
    more = len(rows) == args.limit and rows[-1].version > 1
    cursor = base64.urlsafe_b64encode(str(rows[-1].version).encode()).decode() if more else None
    return k.CardChanges(session_id=found.session, changes=changes, cursor=cursor)


def attendant_set(conn: Connection, who: Asker, args: k.AttendantSet) -> k.AttendantInfo:
    """Who is away gives back; who is there gets what waits: timers see to both at once."""
    kanban.lock(conn, who.id)
    now = time.time_ns() // 1_000_000
    team = team_of(conn, who.id)
    before = team.get(args.attendant_id) or Attendant(id=args.attendant_id)
    one = msgspec.structs.replace(
        before, name=args.name or before.name, available=args.available,
        skills=tuple(dict.fromkeys(args.skills)), capacity=args.capacity,
    )  # fmt: skip
    save_attendant(conn, who.id, one)
    if one.available:
        kanban.look_at_queue(conn, who.id, now, _QUEUE_NUDGE)
    else:
        kanban.look_at_owned(conn, who.id, one.id, now)
    return _attendant_info(one)


def attendant_list(conn: Connection, who: Asker, _args: d.Nothing) -> k.Attendants:
    return k.Attendants(attendants=[_attendant_info(one) for one in team_of(conn, who.id).values()])


def policy_get(conn: Connection, who: Asker, _args: d.Nothing) -> k.PolicyInfo:
    row = kanban.policy(conn, who.id)
    return k.PolicyInfo(
        policy=policy_of(conn, who.id),
        changed_at=timestamp(row.changed_at) if row else None,
        changed_by=row.changed_by if row else None,
    )


def policy_set(conn: Connection, who: Asker, args: k.PolicySet) -> k.PolicyInfo:
    """Every open card is looked at anew: its deadlines are the new policy's."""
    if not hours.known_zone(args.policy.hours.timezone):
        raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.policy.hours.timezone"})
    for rule in args.policy.rules:
        if isinstance(rule.do, WebhookAction):
            _check_webhook(conn, who.id, rule.do.webhook_id)
    kanban.lock(conn, who.id)
    now = time.time_ns() // 1_000_000
    if args.policy.cards != policy_of(conn, who.id).cards:
        kanban.look_at_joined(conn, who.id, now)
    kanban.save_policy(conn, who.id, PolicyRow(msgspec.json.encode(args.policy).decode(), now, args.by))
    kanban.look_at_open(conn, who.id, now)
    return policy_get(conn, who, d.Nothing())


def _check_webhook(conn: Connection, tenant: str, name: str) -> None:
    found = webhooks.find(conn, tenant, name)
    if found is None:
        raise RequestError(ErrorCode.E_WEBHOOK_NOT_FOUND, {"webhook_id": name})
    types = msgspec.json.decode(found.config, type=_Types).types
    if types is not None and "alert" not in types:
        details = {"path": "$.policy.rules", "webhook_id": name, "reason": "its types lack alert"}
        raise RequestError(ErrorCode.E_INVALID_FIELD, details)


def _find(conn: Connection, who: Asker, args: d.ChatRef) -> _Found:
    """The chat that is meant; in the session where it was last on the board, or last spoken in, if none is named."""
    keys = [args.chat] if args.chat is not None else _keys(conn, who, args.to or "")
    found: list[tuple[int, _Found]] = []
    for key in keys:
        cards = [(row.session, card_of(row)) for row in kanban.cards_of(conn, who.id, key)]
        found += [(2**61 + card.touched_at, _Found(session, card.chat)) for session, card in cards]
        found += [
            (row.last_at, _Found(row.session, Chat(key=row.chat, pn=row.pn, lid=row.lid, group=row.group_id)))
            for row in boards.by_key(conn, who.id, key)
        ]
    fitting = [one for one in found if args.session_id in (None, one[1].session)]
    if not fitting:
        raise RequestError(ErrorCode.E_CHAT_NOT_FOUND)
    return max(fitting, key=lambda one: one[0])[1]


def _home(conn: Connection, who: Asker, found: _Found) -> _Found:
    """Where the chat's card is, if an inbox's cards are joined."""
    row = kanban.card(conn, who.id, found.chat.key, found.session)
    joined_to = card_of(row).joined_to if row is not None else None
    return found if joined_to is None else _Found(joined_to, found.chat)


def _keys(conn: Connection, who: Asker, to: str) -> Sequence[str]:
    """Every key under which the chat with somebody may be: by number (Brazil's two forms) and by LID."""
    recipient = parse_recipient(to, who.region)
    if recipient.kind == "group":
        return [ids.chat_key(who.key, group=recipient.value)]
    if recipient.kind == "lid":
        number = people.number_of(conn, who.id, recipient.value)
        numbers, lids = ([number] if number else []), [recipient.value]
    else:
        numbers = list(brazil_candidates(recipient.value))
        lids = [lid for number in numbers if (lid := people.lid_of(conn, who.id, number))]
    return [ids.chat_key(who.key, pn=number) for number in numbers] + [
        ids.chat_key(who.key, lid=lid) for lid in lids
    ]


def _info(conn: Connection, session: str, card: Card, policy: k.Policy, who: Asker) -> k.CardInfo:
    known = people.get(conn, who.id, pn=card.chat.pn, lid=card.chat.lid) if not card.chat.group else None
    return k.CardInfo(
        chat=card.chat, session_id=session, status=card.status, owner_id=card.owner,
        name=known.name if known is not None else None, last_message_at=_time(max(card.last_in, card.last_out)),
        assigned_at=_time(card.assigned_at), assigned_by=card.assigned_by,
        completed_at=_time(card.completed_at), completed_by=card.completed_by,
        version=card.version, priority=card.priority, tags=list(card.tags), reason=card.reason,
        notes=[k.CardNote(at=timestamp(note.at), by=note.by, text=note.text) for note in card.notes],
        snoozed=card.snoozed, snoozed_until=_time(card.snoozed_until), escalated_to=card.escalated_to,
        is_taking_too_long=card.is_taking_too_long,
        inbox_id=card.inbox,
        due={name: timestamp(due) for name, (_, due) in deadlines(card, policy).items()},
    )  # fmt: skip


def _attendant_info(one: Attendant) -> k.AttendantInfo:
    return k.AttendantInfo(
        attendant_id=one.id, name=one.name, available=one.available, skills=list(one.skills),
        capacity=one.capacity, open=one.open,
    )  # fmt: skip


def _below(cursor: str | None) -> int | None:
    """Raises ContractError(E_INVALID_CURSOR) for one that is not of this list."""
    if cursor is None:
        return None
    try:
        return int(base64.b64decode(cursor, altchars="-_", validate=True))
    except ValueError:
        raise ContractError(ErrorCode.E_INVALID_CURSOR) from None


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP, {"path": "$.until"}) from None
    if moment.tzinfo is None:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP, {"path": "$.until"})
    return round(moment.timestamp() * 1000)


def _time(ms: int) -> str | None:
    return timestamp(ms) if ms else None
