"""What follows from what: `decide` is the whole of the board's rules, a function of its arguments alone."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from pywhatsweb.contracts.kanban_data import Deadline, Policy
from pywhatsweb.contracts.rule_data import AddTagsAction, Rule, Trigger
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.kanban import hours, rules
from pywhatsweb_fleet.kanban.assigning import choose
from pywhatsweb_fleet.kanban.board import (
    NOTES,
    RECENT,
    SYSTEM,
    AttendantLeft,
    Card,
    Clock,
    Decision,
    Fired,
    MessageIn,
    MessageOut,
    Move,
    Note,
    Refused,
    Stimulus,
    Team,
    Timer,
    Transition,
    transit,
)

NEW, ACTIVE, DONE = KanbanStatus.NEW, KanbanStatus.ACTIVE, KanbanStatus.DONE
REPLIED: Final = "cliente_respondeu"
_HOUR_MS: Final = 3_600_000
QUEUE_AGAIN_MS: Final = 60_000
"""A chat that waits for somebody with room is looked at again after so long, should a nudge have been missed."""


def decide(  # noqa: PLR0917 - what is there, and where
    card: Card | None,
    policy: Policy,
    stimulus: Stimulus,
    team: Team | None = None,
    session: str = "",
    inbox: str | None = None,
) -> Decision:
    """What the stimulus comes to; the same again when it is repeated: nothing. Raises Refused for a move.

    ``team``: the attendants as they are now; needed where somebody may be chosen or have left. ``inbox``: whose card a
    new one is.
    """
    step = _Step(card, policy, team or {}, session, inbox)
    if isinstance(stimulus, Timer):
        step.timer(stimulus.at)
    elif isinstance(stimulus, AttendantLeft):
        step.left(stimulus.at, stimulus.attendant)
    elif card is not None and stimulus.id in card.recent:
        return Decision(card)
    elif isinstance(stimulus, MessageIn):
        step.message_in(stimulus)
    elif isinstance(stimulus, MessageOut):
        step.message_out(stimulus)
    else:
        step.move(stimulus)
    step.rules()
    return Decision(step.card, tuple(step.transitions), tuple(step.fired))


def deadlines(card: Card, policy: Policy) -> dict[Clock, tuple[int, int]]:
    """When the clocks that run on the card warn, and when they are over."""
    if card.status is DONE or not card.opened_at:
        return {}
    found: dict[Clock, tuple[int, int]] = {}
    if policy.first_response is not None and not card.answered:
        found["first_response"] = _clock(card, policy.first_response, policy)
    if policy.resolution is not None:
        found["resolution"] = _clock(card, policy.resolution, policy)
    return found


def _clock(card: Card, deadline: Deadline, policy: Policy) -> tuple[int, int]:
    warn = hours.after(card.opened_at, deadline.minutes * deadline.warn_at, policy.hours)
    return warn, hours.after(card.opened_at, deadline.minutes, policy.hours)


def next_due(card: Card, policy: Policy, now: int) -> int | None:
    """When to look at the card next, though nothing happens to it; None: never."""
    if card.status is DONE:
        return None
    moments = []
    if card.snoozed:
        moments += [card.snoozed_until] if card.snoozed_until else []
    elif policy.done_after_hours is not None and (card.status is ACTIVE or policy.done_from == "open"):
        moments.append(card.touched_at + round(policy.done_after_hours * _HOUR_MS))
    for clock, (warn, due) in deadlines(card, policy).items():
        if clock not in card.overdue:
            moments.append(due if clock in card.warned else warn)
    if card.owner is None and policy.assignment != "manual":
        moments.append(now + QUEUE_AGAIN_MS)
    return min(moments, default=None)


class _Step:
    """One decision while it is made."""

    def __init__(
        self, card: Card | None, policy: Policy, team: Team, session: str, inbox: str | None
    ) -> None:
        self.card = card
        self.policy = policy
        self.team = team
        self.session = session
        self.inbox = inbox
        self.transitions: list[Transition] = []
        self.fired: list[Fired] = []

    def note(self, stimulus: MessageIn | MessageOut | Move, **changes: Any) -> Card:
        """Remembers the stimulus, and that the card was touched."""
        card = self.card or Card(chat=stimulus.chat, inbox=self.inbox)
        chat = replace(
            card.chat,
            pn=stimulus.chat.pn or card.chat.pn,
            lid=stimulus.chat.lid or card.chat.lid,
            group=stimulus.chat.group or card.chat.group,
        )
        self.card = replace(
            card,
            chat=chat,
            touched_at=max(card.touched_at, stimulus.at),
            recent=(*card.recent, stimulus.id)[-RECENT:],
            **changes,
        )
        return self.card

    def change(
        self,
        name: str,
        at: int,
        by: str | None = None,
        reason: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        alert: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """One transition."""
        assert self.card is not None  # noqa: S101 - callers have one
        told = transit(self.card, name, at, by, reason, details=details, alert=alert, **fields)
        self.card = told.card
        self.transitions.append(told)

    # Messages.

    def message_in(self, stimulus: MessageIn) -> None:
        if stimulus.chat.group and self.card is None and not self.policy.groups:
            return
        known = self.card is not None and (self.card.opened_at > 0 or self.card.status is not NEW)
        card = self.note(stimulus, last_in=max(self.card.last_in if self.card else 0, stimulus.at))
        if not known:
            tags = tuple(dict.fromkeys((*card.tags, *self.policy.session_tags.get(self.session, ()))))
            self.open("opened", stimulus.at, None, tags=tags)
        elif card.status is DONE:
            if self.policy.reopen:
                self.open("reopened", stimulus.at, REPLIED)
        elif card.snoozed:
            self.change("woken", stimulus.at, None, REPLIED, snoozed=False, snoozed_until=0)
        self.outside_hours(stimulus.at)

    def open(self, name: str, at: int, reason: str | None, by: str | None = None, **fields: Any) -> None:
        self.change(
            name, at, by, reason,
            status=NEW, owner=None, opened_at=at, answered=False, completed_at=0, completed_by=None,
            snoozed=False, snoozed_until=0, warned=(), overdue=(), escalated_to=None, **fields,
        )  # fmt: skip
        self.assign(at)

    def assign(self, at: int, avoid: str | None = None) -> None:
        """Gives the card to whom the policy names; it stays NEW until that one answers."""
        card = self.card
        if (
            card is None
            or card.status is not NEW
            or card.owner is not None
            or card.snoozed
            or not card.opened_at
        ):
            return
        chosen = choose(card, self.policy, self.team, avoid)
        if chosen is not None:
            self.change("assigned", at, SYSTEM, self.policy.assignment, owner=chosen)

    def message_out(self, stimulus: MessageOut) -> None:
        card = self.card
        if card is None:
            return
        anyone = self.policy.reply_starts == "anyone"
        person = anyone or stimulus.human or stimulus.by is not None
        card = self.note(stimulus, last_out=max(card.last_out, stimulus.at), answered=card.answered or person)
        if card.status is not NEW or not card.version:
            return
        by = stimulus.by or (card.owner if stimulus.human or anyone else None)
        if anyone or (by is not None and card.owner in (None, by)):
            self.change(
                "started", stimulus.at, by, status=ACTIVE, owner=card.owner or by,
                snoozed=False, snoozed_until=0,
            )  # fmt: skip

    # Moves.

    def move(self, move: Move) -> None:
        card = self.note(move)
        getattr(self, f"_{move.verb}")(move, card)

    def _assign(self, move: Move, card: Card) -> None:
        self._open_only(card)
        if (card.status, card.owner) != (ACTIVE, move.owner):
            self._activate("assigned", move, card, move.owner)

    def _take(self, move: Move, card: Card) -> None:
        self._open_only(card)
        if card.owner not in (None, move.by):
            raise Refused(ErrorCode.E_CONFLICT, owner_id=card.owner)
        if (card.status, card.owner) != (ACTIVE, move.by):
            self._activate("taken", move, card, move.by)

    def _activate(self, name: str, move: Move, card: Card, owner: str | None) -> None:
        self.change(
            name, move.at, move.by, move.reason, status=ACTIVE, owner=owner,
            opened_at=card.opened_at or move.at, snoozed=False, snoozed_until=0,
        )  # fmt: skip

    def _release(self, move: Move, card: Card) -> None:
        self._open_only(card)
        if card.owner is not None or card.status is ACTIVE:
            self.back(move.at, move.by, move.reason, "released")

    def back(self, at: int, by: str | None, reason: str | None, name: str) -> None:
        """To the queue; and to somebody else, if there is one."""
        assert self.card is not None  # noqa: S101 - callers have one
        avoid = self.card.owner
        self.change(name, at, by, reason, status=NEW, owner=None)
        self.assign(at, avoid)

    def _done(self, move: Move, card: Card) -> None:
        if card.status is not DONE:
            self.close(move.at, move.by, move.reason)

    def close(self, at: int, by: str | None, reason: str | None) -> None:
        self.change(
            "done", at, by, reason, status=DONE, completed_at=at, completed_by=by or SYSTEM,
            snoozed=False, snoozed_until=0, escalated_to=None,
        )  # fmt: skip

    def _reopen(self, move: Move, card: Card) -> None:
        if card.status is ACTIVE:
            raise Refused(ErrorCode.E_INVALID_TRANSITION, status=card.status.value)
        if card.status is DONE:
            self.open("reopened", move.at, move.reason, move.by)

    def _tag(self, move: Move, card: Card) -> None:
        kept = [tag for tag in card.tags if tag not in move.remove]
        tags = tuple(dict.fromkeys((*kept, *move.add)))[:32]
        priority = move.priority or card.priority
        if (tags, priority) != (card.tags, card.priority):
            details = {"tags": list(tags), "priority": priority}
            self.change(
                "tagged", move.at, move.by, card.reason, details=details, tags=tags, priority=priority
            )

    def _note(self, move: Move, card: Card) -> None:
        notes = (*card.notes, Note(move.at, move.by, move.text))[-NOTES:]
        self.change("noted", move.at, move.by, card.reason, details={"text": move.text}, notes=notes)

    def _snooze(self, move: Move, card: Card) -> None:
        self._open_only(card)
        until = move.until
        if until and until <= move.at:
            raise Refused(ErrorCode.E_INVALID_TIMESTAMP, path="$.until")
        details = {"until": until}
        self.change("snoozed", move.at, move.by, details=details, snoozed=True, snoozed_until=until)

    def _open_only(self, card: Card) -> None:
        if card.status is DONE:
            raise Refused(ErrorCode.E_INVALID_TRANSITION, status=card.status.value)

    # Rules.

    def outside_hours(self, at: int) -> None:
        """Once until the next opening, however much the customer writes."""
        card = self.card
        found = [*rules.outside_hours(self.policy, self.session)]
        since = hours.closed_since(at, self.policy.hours) if found else None
        if card is None or since is None or since == card.closed_told:
            return
        self.card = replace(card, closed_told=since)
        for rule, trigger in found:
            self.fire(rule, trigger, f"{trigger}-{since}", at)

    def rules(self) -> None:
        """What the decision's transitions set off. What a rule changes sets nothing off."""
        for transition in tuple(self.transitions):
            for rule, trigger in rules.answering_to(self.policy, transition, self.session):
                self.fire(rule, trigger, f"{trigger}-{transition.card.version}", transition.card.changed_at)

    def fire(self, rule: Rule, trigger: Trigger, occasion: str, at: int) -> None:
        card = self.card
        assert card is not None  # noqa: S101 - something has happened to it
        if not rules.fits(rule, card.tags):
            return
        if isinstance(rule.do, AddTagsAction):
            tags = tuple(dict.fromkeys((*card.tags, *rule.do.tags)))[:32]
            if tags == card.tags:
                return
            details = {"tags": list(tags), "priority": card.priority, "rule": rule.id}
            self.change("tagged", at, None, card.reason, details=details, tags=tags)
        self.fired.append(Fired(rule, trigger, occasion, at, self.card or card))

    # Time, and people who go.

    def left(self, at: int, attendant: str) -> None:
        card = self.card
        if card is not None and card.status is not DONE and card.owner == attendant:
            self.back(at, None, "attendant_left", "released")

    def timer(self, at: int) -> None:
        card = self.card
        if card is None or card.status is DONE:
            return
        if card.snoozed and 0 < card.snoozed_until <= at:
            self.change("woken", at, None, "snooze_over", snoozed=False, snoozed_until=0, touched_at=at)
        owner = self.team.get(card.owner or "")
        if owner is not None and not owner.available:
            self.left(at, owner.id)
        card = self.card
        assert card is not None  # noqa: S101 - it was one above
        limit = self.policy.done_after_hours
        idle = not card.snoozed and (card.status is ACTIVE or self.policy.done_from == "open")
        if idle and limit is not None and at >= card.touched_at + round(limit * _HOUR_MS):
            self.close(at, None, f"inatividade_{limit:g}h")
            return
        for clock, (warn, due) in deadlines(card, self.policy).items():
            self._deadline(at, clock, warn, due)
        self.assign(at)

    def _deadline(self, at: int, clock: Clock, warn: int, due: int) -> None:
        card = self.card
        assert card is not None  # noqa: S101 - callers have one
        told = {"deadline": clock, "due_at": due, "owner_id": card.owner}
        if at >= due and clock not in card.overdue:
            to = self.policy.supervisor
            alert = {**told, "kind": "is_taking_too_long", "escalated_to": to}
            self.change(
                "escalated", at, None, clock, details=told, alert=alert,
                overdue=(*card.overdue, clock), escalated_to=to,
            )  # fmt: skip
        elif warn <= at < due and clock not in card.warned:
            self.change(
                "warned", at, None, clock, details=told, alert={**told, "kind": "deadline_near"},
                warned=(*card.warned, clock),
            )  # fmt: skip
