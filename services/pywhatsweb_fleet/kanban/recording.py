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
from pywhatsweb_fleet.kanban import acting
from pywhatsweb_fleet.kanban.acting import Where
from pywhatsweb_fleet.kanban.board import SYSTEM, Attendant, Card, Refused, Stimulus, Team, Transition
from pywhatsweb_fleet.kanban.policy import decide, next_due
from pywhatsweb_fleet.storage import audit, kanban
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

    @property
    def team(self) -> Team:
        if self._team is None:
            self._team = team_of(self.conn, self.tenant)
        return self._team

    def advance(self, session: str, chat: str, stimulus: Stimulus, version: int | None = None) -> Card | None:
        """The card after the stimulus. Raises Refused, also when its version is not the expected one; or Moved."""
        row = kanban.card(self.conn, self.tenant, chat, session)
        card = None if row is None else _card(row.card.encode())
        known = getattr(stimulus, "id", None)
        repeated = card is not None and known in card.recent
        if version is not None and not repeated and (card is None or card.version != version):
            raise Refused(ErrorCode.E_CONFLICT, version=0 if card is None else card.version)
        decision = decide(card, self.policy, stimulus, self.team, session)
        if decision.card is None:
            return None
        where = Where(self.tenant, self.key, session, chat)
        self._save(where, decision.card, row)
        for transition in decision.transitions:
            self._record(where, transition)
        for fired in decision.fired:
            self.actions += 1
            acting.put_out(self.conn, where, fired)
        self._count(card, decision.card, decision.transitions)
        return decision.card

    def _save(self, where: Where, card: Card, before: CardRow | None) -> None:
        row = CardRow(
            where.tenant, where.chat, where.session, card.version, card.status.value, card.owner, card.opened_at,
            next_due(card, self.policy, self.now), _json(card).decode(),
        )  # fmt: skip
        if row != before and not kanban.save(self.conn, row, None if before is None else before.version):
            raise Moved

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
