"""Arguments and results of the Kanban board: moves of cards, attendants, and the tenant's policy.

A policy is data: it is read at each decision, so a change counts from the next one on. Lengths of time are minutes (or
hours, where the name says so) and may have fractions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.control_data import Args, ChatInfo, ChatRef, Limit, Note, Result, Who
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.contracts.rule_data import MAX_RULES, Rule
from pywhatsweb.errors import ContractError, ErrorCode

Tag = Annotated[str, Meta(min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Meta(max_length=32)]
Priority = Literal["low", "normal", "high", "urgent"]
Minutes = Annotated[float, Meta(gt=0, le=525_600)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
Span = Annotated[list[Clock], Meta(min_length=2, max_length=2)]
"""From and to, in the tenant's zone."""
Spans = Annotated[list[Span], Meta(max_length=8)]
Zone = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", max_length=64)]


class Hours(Args, frozen=True, kw_only=True):
    """When deadlines run: spans of each weekday in `timezone` (IANA), none on `holidays`. No span at all: always."""

    timezone: Zone = "America/Sao_Paulo"
    monday: Spans = field(default_factory=list)
    tuesday: Spans = field(default_factory=list)
    wednesday: Spans = field(default_factory=list)
    thursday: Spans = field(default_factory=list)
    friday: Spans = field(default_factory=list)
    saturday: Spans = field(default_factory=list)
    sunday: Spans = field(default_factory=list)
    holidays: Annotated[list[Date], Meta(max_length=512)] = field(default_factory=list)

    @property
    def week(self) -> tuple[Spans, ...]:
        """Monday first."""
        return (
            self.monday,
            self.tuesday,
            self.wednesday,
            self.thursday,
            self.friday,
            self.saturday,
            self.sunday,
        )


class Deadline(Args, frozen=True, kw_only=True):
    """`minutes` of working time; a warning after `warn_at` of it, an escalation at its end."""

    minutes: Minutes
    warn_at: Annotated[float, Meta(gt=0, le=1)] = 0.8


class Policy(Args, frozen=True, kw_only=True):
    """How a tenant's board behaves.

    `assignment`: who gets a chat that opens: nobody (``manual``), the one whose turn it is, or the one with the fewest
    open chats. `cards`: one of each session that a person writes to, or one of all the sessions of an inbox. `sticky`:
    the last owner first. `by_skill`: only attendants who have each tag of the card that is anybody's skill.
    `reply_starts`: whose reply makes a chat active: its owner's, or any that this account sends.
    """

    assignment: Literal["manual", "round_robin", "least_loaded"] = "manual"
    cards: Literal["by_session", "by_inbox"] = "by_session"
    sticky: bool = True
    by_skill: bool = False
    capacity: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Open chats an attendant may have, unless the attendant has an own number."""
    reply_starts: Literal["owner", "anyone"] = "owner"
    done_after_hours: Annotated[float, Meta(gt=0, le=8760)] | None = 24
    """Without a message or a move; null: never."""
    done_from: Literal["active", "open"] = "active"
    """Whether only active chats end so, or also those that nobody has begun with."""
    reopen: bool = True
    """Whether a message of the customer opens a closed chat again."""
    groups: bool = False
    """Whether messages in groups open chats."""
    first_response: Deadline | None = None
    resolution: Deadline | None = None
    hours: Hours = Hours()
    supervisor: Who | None = None
    """Named in escalations."""
    session_tags: dict[str, Tags] = field(default_factory=dict)
    """Tags that a chat gets when it opens, by session."""
    rules: Annotated[list[Rule], Meta(max_length=MAX_RULES)] = field(default_factory=list)
    """What the board does by itself."""


class PolicySet(Args, frozen=True, kw_only=True):
    """The whole policy: what is left out is at its default."""

    policy: Policy
    by: Who | None = None


class PolicyInfo(Result, frozen=True, kw_only=True):
    policy: Policy
    changed_at: Timestamp | None = None
    changed_by: str | None = None


class AttendantSet(Args, frozen=True, kw_only=True):
    """Makes an attendant known or changes one. One who is not `available` gives all open chats back to the queue."""

    attendant_id: Who
    name: Annotated[str, Meta(max_length=200)] | None = None
    available: bool = True
    skills: Tags = field(default_factory=list)
    capacity: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    by: Who | None = None


class AttendantInfo(Result, frozen=True, kw_only=True):
    """`open`: chats that are theirs and not done."""

    attendant_id: str
    name: str | None = None
    available: bool = True
    skills: list[str] = field(default_factory=list)
    capacity: int | None = None
    open: int = 0


class Attendants(Result, frozen=True, kw_only=True):
    attendants: list[AttendantInfo]


class CardMove(ChatRef, frozen=True, kw_only=True):
    """`id` makes a repeat harmless: the same one moves a card once. `version`: refuse (E_CONFLICT) if it is another."""

    by: Who | None = None
    id: Who | None = None
    version: Annotated[int, Meta(ge=0)] | None = None


class ChatTake(CardMove, frozen=True, kw_only=True):
    """The attendant `by` takes a chat that nobody has: it becomes ACTIVE."""

    by: Who


class ChatRelease(CardMove, frozen=True, kw_only=True):
    """Back to the queue: NEW, without an owner."""

    reason: Note | None = None


class ChatTag(CardMove, frozen=True, kw_only=True):
    add: Tags = field(default_factory=list)
    remove: Tags = field(default_factory=list)
    priority: Priority | None = None


class ChatNote(CardMove, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class ChatSnooze(CardMove, frozen=True, kw_only=True):
    """Out of sight until a time (with its zone), or until the customer writes; without `until` only the latter."""

    until: Timestamp | None = None


class CardNote(Result, frozen=True, kw_only=True):
    at: Timestamp
    by: str | None
    text: str


class CardInfo(ChatInfo, frozen=True, kw_only=True):
    """A chat with its whole card. `due`: when its deadlines end, by name."""

    version: int = 0
    priority: Priority = "normal"
    tags: list[str] = field(default_factory=list)
    notes: list[CardNote] = field(default_factory=list)
    reason: str | None = None
    snoozed: bool = False
    snoozed_until: Timestamp | None = None
    escalated_to: str | None = None
    is_taking_too_long: bool = False
    due: dict[str, Timestamp] = field(default_factory=dict)


class ChatHistory(ChatRef, frozen=True, kw_only=True):
    limit: Limit = 50
    cursor: str | None = None


class CardChange(Result, frozen=True, kw_only=True):
    """One transition; `change` names it: opened, reopened, assigned, started, done, released, tagged, …"""

    version: int
    at: Timestamp
    change: str
    status: str
    previous: str | None = None
    owner_id: str | None = None
    by: str | None = None
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class CardChanges(Result, frozen=True, kw_only=True):
    """Newest first."""

    session_id: str
    changes: list[CardChange]
    cursor: str | None = None


def check_policy(policy: Policy) -> None:
    """A day's spans come one after another, and each rule has its own id. Raises ContractError."""
    if len({rule.id for rule in policy.rules}) < len(policy.rules):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.policy.rules", "reason": "an id twice"})
    for spans in policy.hours.week:
        ends = [clock for span in spans for clock in span]
        if any(later <= earlier for earlier, later in pairwise(ends)):
            raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.policy.hours"})
