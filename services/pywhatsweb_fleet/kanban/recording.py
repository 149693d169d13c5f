"""One stimulus in a transaction: the card as it was, the decision, and all that follows from it, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, ids
from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.kanban import acting, joining
from pywhatsweb_fleet.kanban.acting import Where
from pywhatsweb_fleet.kanban.board import (
    SYSTEM,
    Attendant,
    Card,
    Decision,
    Refused,
    Stimulus,
    Team,
    Transition,
)
from pywhatsweb_fleet.kanban.policy import decide, next_due
from pywhatsweb_fleet.storage import audit, kanban
from pywhatsweb_fleet.storage.inboxes import InboxRow
from pywhatsweb_fleet.storage.kanban import CardRow, LogRow, OutboxRow

_json = msgspec.json.Encoder().encode
_card = msgspec.json.Decoder(Card).decode
_attendant = msgspec.json.Decoder(Attendant).decode
_policy = msgspec.json.Decoder(Policy).decode


class Moved(Exception):
    """The card was changed meanwhile by somebody who did not wait: to be decided anew."""


class Board:
    """A tenant's board inside one transaction, which is the only one at it. Policy and team are read once."""

    def __init__(self, conn: Connection, tenant: TenantId, key: TenantKey, now: int) -> None:
        kanban.lock(conn, tenant)
        self.conn = conn
        self.tenant = tenant
        self.key = key
        self.now = now
        """Milliseconds since 1970: timers that are not due yet are set from it."""
        self.policy = policy_of(conn, tenant)
        self.transitions = 0
        """How many were recorded."""
        self.actions = 0
        """How many rules fired."""
        self._team: Team | None = None
        self._inboxes = joining.Inboxes(conn, tenant, self.policy)

    @property
    def team(self) -> Team:
        if self._team is None:
            self._team = team_of(self.conn, self.tenant)
        return self._team

    def advance(self, session: str, chat: str, stimulus: Stimulus, version: int | None = None) -> Card | None:
        """The card after the stimulus; an inbox's, where cards are joined (`home`).

        Raises Refused, also when its version is not the expected one; or Moved.
        """
        inbox = self._inboxes.of(session)
        home = self._gather(session, chat, stimulus, inbox) if self._inboxes.joined else session
        row = kanban.card(self.conn, self.tenant, chat, home)
        card = None if row is None else _card(row.card.encode())
        if card is not None and not self._inboxes.joined and (card.inbox or card.joined_to):
            row, card = self._put(home, chat, row, card, joining.settle(card, None, stimulus.at))
        known = getattr(stimulus, "id", None)
        repeated = card is not None and known in card.recent
        if version is not None and not repeated and (card is None or card.version != version):
            raise Refused(ErrorCode.E_CONFLICT, version=0 if card is None else card.version)
        name = inbox.inbox if inbox is not None and not _is_group(stimulus, card) else None
        decision = decide(card, self.policy, stimulus, self.team, session, name)
        if decision.card is None:
            return None
        self._put(home, chat, row, card, decision)
        return decision.card

    def _put(
        self, session: str, chat: str, row: CardRow | None, card: Card | None, decision: Decision
    ) -> tuple[CardRow | None, Card | None]:
        """Writes what was decided, with all that follows; the card as it is then."""
        if decision.card is None:
            return row, card
        where = Where(self.tenant, self.key, session, chat)
        row = self._save(where, decision.card, row)
        for transition in decision.transitions:
            self._record(where, transition)
        for fired in decision.fired:
            self.actions += 1
            acting.put_out(self.conn, where, fired)
        self._count(card, decision.card, decision.transitions)
        return row, decision.card

    def _gather(self, session: str, chat: str, stimulus: Stimulus, inbox: InboxRow | None) -> str:
        """Brings the chat's cards in an inbox's sessions together, if they are not yet: the session of the one."""
        rows = {row.session: row for row in kanban.cards_of(self.conn, self.tenant, chat)}
        cards = {name: card_of(row) for name, row in rows.items()}
        if inbox is None or _is_group(stimulus, cards.get(session)):
            inbox, members = None, {session}
        else:
            members = {*inbox.sessions}
        home = joining.home(cards, session, members)
        others = [name for name in cards if name in members and name != home]
        if inbox is not None:
            if cards and session not in (home, *others):
                others.append(session)
            for other in sorted(others):
                self._fold(other, home, chat, stimulus, inbox.inbox, rows, cards)
        settled = joining.settle(cards.get(home), inbox.inbox if inbox is not None else None, stimulus.at)
        if settled.transitions:
            self._put(home, chat, rows[home], cards[home], settled)
        return home

    def _fold(  # noqa: PLR0917 - a step of `_gather`
        self,
        other: str,
        home: str,
        chat: str,
        stimulus: Stimulus,
        inbox: str,
        rows: dict[str, CardRow],
        cards: dict[str, Card],
    ) -> None:
        before, row = cards.get(other), rows.get(other)
        who = before.chat if before is not None else cards[home].chat
        folded = joining.fold(before, who, stimulus.at, inbox, home)
        if folded.transitions and before is not None:
            absorbed = joining.absorb(cards[home], before, other, stimulus.at)
            found = self._put(home, chat, rows[home], cards[home], absorbed)
            assert found[0] is not None and found[1] is not None  # noqa: S101, PT018 - it was there
            rows[home], cards[home] = found[0], found[1]
        if folded.transitions or (row is not None and row.due_at is not None):
            self._put(other, chat, row, before, folded)

    def _save(self, where: Where, card: Card, before: CardRow | None) -> CardRow:
        row = CardRow(
            where.tenant, where.chat, where.session, card.version, card.status.value, card.owner, card.opened_at,
            next_due(card, self.policy, self.now), _json(card).decode(),
        )  # fmt: skip
        if row != before and not kanban.save(self.conn, row, None if before is None else before.version):
            raise Moved
        return row

    def _record(self, where: Where, transition: Transition) -> None:
        self.transitions += 1
        card = transition.card
        previous = transition.previous.value if transition.previous is not None else None
        detail = _json(dict(transition.details)).decode()
        kanban.append_log(
            self.conn,
            LogRow(
                where.tenant, where.chat, where.session, card.version, card.changed_at, transition.change,
                card.status.value, previous, card.owner, transition.by, transition.reason, detail,
            ),
        )  # fmt: skip
        for kind, event in events_of(where, transition).items():
            row = OutboxRow(
                where.tenant,
                card.changed_at,
                where.chat,
                where.session,
                card.version,
                kind,
                _json(event).decode(),
            )
            kanban.put_out(self.conn, row)
        told = {"session": where.session, "version": card.version, "from": previous, "to": card.status.value}
        audit.append(
            self.conn,
            audit.Entry(
                where.tenant, card.changed_at, transition.by, f"chat.{transition.change}", where.chat,
                transition.reason, detail=_json({**told, "owner_id": card.owner}).decode(),
            ),
        )  # fmt: skip

    def _count(self, before: Card | None, after: Card, transitions: tuple[Transition, ...]) -> None:
        """Keeps the team's loads and turns; who has room again gets what waits longest."""
        old, new = (_holder(before), _holder(after))
        if old != new:
            for name, more in ((old, -1), (new, 1)):
                if name is not None and (one := self.team.get(name)) is not None:
                    self.team[name] = msgspec.structs.replace(one, open=max(0, one.open + more))
            if old is not None and self.policy.assignment != "manual":
                kanban.look_at_queue(self.conn, self.tenant, self.now, 1)
        for transition in transitions:
            owner = transition.card.owner
            if transition.change == "assigned" and transition.by == SYSTEM and owner in self.team:
                one = msgspec.structs.replace(self.team[owner], assigned_at=transition.card.changed_at)
                self.team[owner] = one
                save_attendant(self.conn, self.tenant, one)


def _holder(card: Card | None) -> str | None:
    return None if card is None or card.status is KanbanStatus.DONE else card.owner


def events_of(where: Where, transition: Transition) -> dict[str, Any]:
    """What a transition tells, by the events' types; their ids are the same however often it is told."""
    card = transition.card
    envelope: dict[str, Any] = {
        "tenant_id": where.tenant,
        "session_id": where.session,
        "timestamp": events.timestamp(card.changed_at),
    }

    def event_id(kind: str) -> str:
        return ids.stable_event_id(where.key, kind, where.session, where.chat, str(card.version))

    data = d.ChatState(
        chat=card.chat,
        status=card.status,
        previous=transition.previous,
        owner_id=card.owner,
        reason=transition.reason,
        by=transition.by,
        inbox_id=card.inbox or msgspec.UNSET,
        joined_to=card.joined_to or msgspec.UNSET,
    )
    told: dict[str, Any] = {"chat": events.ChatEvent(id=event_id("chat"), data=data, **envelope)}
    if transition.alert is not None:
        details = dict(transition.alert)
        details["due_at"] = events.timestamp(details["due_at"])
        alert = d.Alert(kind=details.pop("kind"), chat=card.chat, details=details)
        told["alert"] = events.AlertEvent(
            id=event_id("alert"), data=alert, causation_id=told["chat"].id, **envelope
        )
    return told


def _is_group(stimulus: Stimulus, card: Card | None) -> bool:
    chat = getattr(stimulus, "chat", None) or (card.chat if card is not None else None)
    return chat is not None and chat.group is not None


def card_of(row: CardRow) -> Card:
    return _card(row.card.encode())


def policy_of(conn: Connection, tenant: str) -> Policy:
    row = kanban.policy(conn, tenant)
    return Policy() if row is None else _policy(row.policy.encode())


def team_of(conn: Connection, tenant: str) -> Team:
    """The attendants with their loads."""
    found = kanban.attendants(conn, tenant)
    open_chats = kanban.loads(conn, tenant) if found else {}
    return {
        name: msgspec.structs.replace(_attendant(data.encode()), open=open_chats.get(name, 0))
        for name, data in found
    }


def save_attendant(conn: Connection, tenant: str, one: Attendant) -> None:
    data = _json(msgspec.structs.replace(one, open=0)).decode()
    kanban.save_attendant(conn, tenant, one.id, data)
