"""What is on the board, and what can happen to it: plain data, no I/O. What follows from what is `policy`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from pywhatsweb.contracts.event_data import Chat
from pywhatsweb.contracts.rule_data import Rule, Trigger
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb.errors import ErrorCode

SYSTEM = "system"
"""Who moves a card when a rule does."""
RECENT = 32
"""Stimuli that a card remembers, so that one which comes again does nothing."""
NOTES = 50
"""Notes on a card; older ones are in its history."""
Clock = Literal["first_response", "resolution"]


class Note(msgspec.Struct, frozen=True, array_like=True):
    at: int
    by: str | None
    text: str


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A chat on the board. Times in milliseconds since 1970, 0: never. `version` counts its transitions."""

    chat: Chat
    status: KanbanStatus = KanbanStatus.NEW
    version: int = 0
    owner: str | None = None
    last_owner: str | None = None
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    tags: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    reason: str | None = None
    opened_at: int = 0
    changed_at: int = 0
    touched_at: int = 0
    """The last message or move by a person: what the clock of inactivity runs from."""
    last_in: int = 0
    last_out: int = 0
    answered: bool = False
    """Whether a person has answered since it opened."""
    assigned_at: int = 0
    assigned_by: str | None = None
    completed_at: int = 0
    completed_by: str | None = None
    snoozed: bool = False
    snoozed_until: int = 0
    """0 while snoozed: until the customer writes."""
    warned: tuple[Clock, ...] = ()
    overdue: tuple[Clock, ...] = ()
    escalated_to: str | None = None
    recent: tuple[str, ...] = ()
    closed_told: int = -1
    """Since when the tenant's hours were closed as rules last answered to that."""
    inbox: str | None = None
    """Whose sessions have one card for the person."""
    joined_to: str | None = None
    """The session of that inbox where the person's card is, if it is not this one."""

    @property
    def is_taking_too_long(self) -> bool:
        return bool(self.overdue)


class Attendant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`assigned_at`: when the rules last gave this one a chat; `open`: chats that are theirs and not done."""

    id: str
    name: str | None = None
    available: bool = True
    skills: tuple[str, ...] = ()
    capacity: int | None = None
    assigned_at: int = 0
    open: int = 0


Team = dict[str, Attendant]


# Stimuli: what can happen. `id` is stable over redeliveries, `at` is when it happened.


class MessageIn(NamedTuple):
    """The customer wrote."""

    id: str
    at: int
    chat: Chat


class MessageOut(NamedTuple):
    """This account wrote. `by`: the attendant, if it is known; `human`: it was typed on the account's own phone."""

    id: str
    at: int
    chat: Chat
    by: str | None = None
    human: bool = False


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A person moves a card; the fields beside `verb` are those that it needs."""

    id: str
    at: int
    chat: Chat
    verb: Literal["assign", "take", "release", "done", "reopen", "tag", "note", "snooze"]
    by: str | None = None
    owner: str | None = None
    reason: str | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    text: str = ""
    until: int = 0


class Timer(NamedTuple):
    """Time has passed, or the team or the policy has changed: whatever is due now."""

    at: int


class AttendantLeft(NamedTuple):
    at: int
    attendant: str


Stimulus = MessageIn | MessageOut | Move | Timer | AttendantLeft


class Transition(NamedTuple):
    """One change of a card, to be told as a `chat` event. `card` is how it is then; `alert` is told beside it."""

    change: str
    card: Card
    previous: KanbanStatus | None
    by: str
    reason: str | None = None
    details: Mapping[str, Any] = MappingProxyType({})
    alert: dict[str, Any] | None = None


def transit(
    old: Card,
    name: str,
    at: int,
    by: str | None = None,
    reason: str | None = None,
    *,
    details: dict[str, Any] | None = None,
    alert: dict[str, Any] | None = None,
    **fields: Any,
) -> Transition:
    """A card's next version. Its time is after the one before, so that whoever keeps the newest keeps the last."""
    at = max(at, old.changed_at + 1)
    if fields.get("owner", old.owner) != old.owner:
        fields["last_owner"] = fields["owner"] or old.owner
        if fields["owner"]:
            fields |= {"assigned_at": at, "assigned_by": by or SYSTEM}
    card = msgspec.structs.replace(old, version=old.version + 1, changed_at=at, reason=reason, **fields)
    previous = old.status if old.version else None
    return Transition(name, card, previous, by or SYSTEM, reason, details or {}, alert)


class Fired(NamedTuple):
    """A rule that has something to do, and the card as it was then. `occasion` is what it answers to, once."""

    rule: Rule
    trigger: Trigger
    occasion: str
    at: int
    card: Card


class Decision(NamedTuple):
    """What a stimulus comes to. `card` None: there is none, still."""

    card: Card | None
    transitions: tuple[Transition, ...] = ()
    fired: tuple[Fired, ...] = ()


class Refused(Exception):
    """A move that the card's state does not allow; ``code`` says why."""

    def __init__(self, code: ErrorCode, **details: Any) -> None:
        super().__init__(code.wire)
        self.code = code
        self.details = details
