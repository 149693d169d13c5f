"""From events to rows: pure, one function a kind of event.

The tenant and the session are those of the subject, which the broker vouches for; what the body says of them is not
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pywhatsweb.contracts import events as e
from pywhatsweb.contracts.consent_data import normalise
from pywhatsweb.contracts.content import Text
from pywhatsweb.contracts.event_data import Chat, Message, Person
from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.statuses import Origin, may_follow
from pywhatsweb.contracts.subjects import EventSubject
from pywhatsweb_fleet.storage import boards
from pywhatsweb_fleet.storage.boards import Activity, Card
from pywhatsweb_fleet.storage.conversation import MessageRow, StatusRow
from pywhatsweb_fleet.storage.idempotency import Outcome
from pywhatsweb_fleet.storage.people import Sighting, address
from pywhatsweb_fleet.storage.sessions import GroupRow, HappeningRow, StateRow

_to_json = msgspec.json.Encoder().encode


class Heard(NamedTuple):
    """What somebody wrote, normalised; ``sent_at`` in milliseconds."""

    tenant: str
    session: str
    pn: str | None
    lid: str | None
    text: str
    sent_at: int


class Rows:
    """What a batch of events adds to the record; an event that is in it twice counts once."""

    __slots__ = (
        "activities", "cards", "groups", "happenings", "heard", "history", "keys", "messages", "outcomes", "sightings",
        "states", "statuses",
    )  # fmt: skip

    def __init__(self) -> None:
        self.messages: dict[str, MessageRow] = {}
        self.history: set[str] = set()
        """Events of messages that lay in the phone's history: recorded, and nobody's use of the fleet."""
        self.statuses: dict[str, StatusRow] = {}
        self.happenings: dict[str, HappeningRow] = {}
        self.states: list[StateRow] = []
        self.groups: list[GroupRow] = []
        self.activities: dict[tuple[str, str, str], Activity] = {}
        self.cards: list[Card] = []
        self.sightings: list[Sighting] = []
        self.heard: list[Heard] = []
        """Short texts of people: a word may be among them that opts its sender out."""
        self.keys: dict[str, TenantKey] = {}
        """Of the tenants whose people were heard."""
        self.outcomes: dict[tuple[str, str, str], list[Outcome]] = {}
        """A command's steps that no later one of the batch replaces; mostly one."""

    def add(self, more: Rows) -> None:
        """Takes in the rows of another batch, which was told after this one."""
        for name in ("messages", "statuses", "happenings", "history", "keys"):
            getattr(self, name).update(getattr(more, name))
        for name in ("states", "groups", "cards", "sightings", "heard"):
            getattr(self, name).extend(getattr(more, name))
        for chat, activity in more.activities.items():
            old = self.activities.get(chat)
            self.activities[chat] = activity if old is None else boards.later(old, activity)
        for command, steps in more.outcomes.items():
            self.outcomes.setdefault(command, []).extend(steps)


class Told(NamedTuple):
    """An event and the subject that it stood on."""

    subject: EventSubject
    event: Any


def rows_of(batch: Iterable[Told]) -> Rows:
    """The rows of all the events. Raises ValueError for a time that is none."""
    rows = Rows()
    for told in batch:
        add = _KINDS.get(type(told.event))
        if add is not None:
            add(rows, told.subject, told.event)
    return rows


def milliseconds(timestamp: str) -> int:
    """An ISO-8601 time as milliseconds since 1970. Raises ValueError."""
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def _bigint(value: int) -> int:
    """Raises ValueError for a number that no column holds."""
    if value >= 2**63:
        raise ValueError("a number beyond 64 bits")
    return value


def _clean(value: str | None) -> str | None:
    """PostgreSQL's text has no NUL, and one in a name is no reason to lose the message."""
    return value.replace("\0", "\ufffd") if value and "\0" in value else value


def _seen(rows: Rows, tenant: str, person: Person | None, at: int) -> None:
    if person is not None and (person.pn or person.lid):
        rows.sightings.append(Sighting(tenant, person.pn, person.lid, _clean(person.name), at))


def _active(rows: Rows, subject: EventSubject, chat: Chat, inbound: bool, at: int) -> None:
    key = (subject.tenant, subject.session, chat.key)
    one = Activity(*key, chat.pn, chat.lid, chat.group, at if inbound else 0, 0 if inbound else at)
    old = rows.activities.get(key)
    rows.activities[key] = one if old is None else boards.later(old, one)
    if chat.pn and chat.lid:
        rows.sightings.append(Sighting(subject.tenant, chat.pn, chat.lid, None, at))


def _spoken(
    rows: Rows,
    subject: EventSubject,
    event: Any,
    sent_at: int,
    body: str | None = None,
    *,
    kind: str,
    target_id: str | None = None,
    type_: str = "",
    command_id: str | None = None,
) -> None:
    data = event.data
    sender = data.from_
    rows.messages[event.id] = MessageRow(
        subject.tenant, _clean(data.id) or "", event.id, milliseconds(event.timestamp), subject.session, data.chat.key,
        kind, type_, data.origin.value, data.from_self, sender.pn, sender.lid, _clean(sender.name), command_id,
        _clean(target_id), _clean(body), _to_json(data).decode(), sent_at,
    )  # fmt: skip
    if not data.from_self:
        _seen(rows, subject.tenant, sender, sent_at)


def _words(data: Any) -> str | None:
    """The text or caption of a content."""
    content = data.content
    words = getattr(content, "body", None) or getattr(content, "caption", None)
    return words if isinstance(words, str) else None


def _message(rows: Rows, subject: EventSubject, event: e.MessageEvent) -> None:
    data = event.data
    sent_at = milliseconds(data.sent_at)
    if data.history:
        rows.history.add(event.id)
    _spoken(
        rows, subject, event, sent_at, _words(data), kind="message", type_=data.type, command_id=data.command_id
    )  # fmt: skip
    _active(rows, subject, data.chat, data.origin == Origin.INBOUND, sent_at)
    if not (data.from_self or data.history or data.chat.group):
        _hear(rows, subject, data, sent_at)


def _hear(rows: Rows, subject: EventSubject, data: Message, sent_at: int) -> None:
    content = data.content
    chosen = getattr(content, "button_reply", None) or getattr(content, "list_reply", None)
    words = content.body if isinstance(content, Text) else getattr(chosen, "title", None)
    if isinstance(words, str) and (text := normalise(words)):
        rows.heard.append(Heard(subject.tenant, subject.session, data.chat.pn, data.chat.lid, text, sent_at))


def _edit(rows: Rows, subject: EventSubject, event: e.EditEvent) -> None:
    data = event.data
    _spoken(
        rows, subject, event, milliseconds(data.sent_at), _words(data), kind="edit", target_id=data.message_id,
        type_=data.type,
    )  # fmt: skip


def _reaction(rows: Rows, subject: EventSubject, event: e.ReactionEvent) -> None:
    data = event.data
    sent_at = milliseconds(data.sent_at)
    _spoken(rows, subject, event, sent_at, data.emoji, kind="reaction", target_id=data.message_id)


def _delete(rows: Rows, subject: EventSubject, event: e.DeleteEvent) -> None:
    sent_at = milliseconds(event.data.sent_at)
    _spoken(rows, subject, event, sent_at, kind="delete", target_id=event.data.message_id)


def _pin(rows: Rows, subject: EventSubject, event: e.PinEvent) -> None:
    sent_at = milliseconds(event.data.sent_at)
    _spoken(rows, subject, event, sent_at, kind="pin", target_id=event.data.message_id)


def _poll_vote(rows: Rows, subject: EventSubject, event: e.PollVoteEvent) -> None:
    sent_at = milliseconds(event.data.sent_at or event.timestamp)
    _spoken(rows, subject, event, sent_at, kind="poll_vote", target_id=event.data.message_id)


def _media(rows: Rows, subject: EventSubject, event: e.MediaEvent) -> None:
    data = event.data
    if data.chat is None:
        return  # a post's, which the record does not keep
    at = milliseconds(event.timestamp)
    rows.messages[event.id] = MessageRow(
        subject.tenant, "", event.id, at, subject.session, data.chat.key, "media", "", "", False, None, None, None,
        None, _clean(data.message_id), None, _to_json(data).decode(), at,
    )  # fmt: skip


def _status(rows: Rows, subject: EventSubject, event: e.StatusEvent) -> None:
    data = event.data
    at = milliseconds(event.timestamp)
    code = data.error.code if data.error is not None else None
    rows.statuses[event.id] = StatusRow(
        subject.tenant,
        _clean(data.message_id) or "",
        event.id,
        at,
        subject.session,
        _clean(data.command_id),
        data.status.value,
        data.status.rank,
        _clean(code),
        address(data.by.pn, data.by.lid) if data.by is not None else None,
        milliseconds(data.at) if data.at else None,
    )
    _seen(rows, subject.tenant, data.by, at)
    if data.command_id is not None and not data.duplicate:
        _step(
            rows,
            Outcome(subject.tenant, subject.session, data.command_id, data.status, at, code, data.message_id),
        )


def _step(rows: Rows, step: Outcome) -> None:
    """A step replaces the one before it when it may follow it whatever the record says."""
    steps = rows.outcomes.setdefault((step.tenant, step.session, step.command_id), [])
    if steps and may_follow(steps[-1].status, step.status):
        before = steps.pop()
        if step.message_id is None and before.message_id is not None:
            step = msgspec.structs.replace(step, message_id=before.message_id)
    steps.append(step)


def _chat(rows: Rows, subject: EventSubject, event: e.ChatEvent) -> None:
    data = event.data
    chat = data.chat
    rows.cards.append(
        Card(
            subject.tenant, subject.session, chat.key, chat.pn, chat.lid, chat.group, data.status.value,
            _clean(data.owner_id), _clean(data.by), milliseconds(event.timestamp), _clean(data.inbox_id or None),
            _clean(data.joined_to or None),
        )
    )  # fmt: skip


def _session(rows: Rows, subject: EventSubject, event: e.SessionEvent) -> None:
    data = event.data
    error = data.error.code if data.error is not None else None
    rows.states.append(
        StateRow(
            subject.tenant, subject.session, data.status.value, _clean(data.engine), data.phone_number, data.lid,
            _clean(data.name), _clean(data.reason), _clean(error), _bigint(event.epoch), _bigint(event.sequence),
            milliseconds(event.timestamp),
        )
    )  # fmt: skip
    _happening(rows, subject, event)


def _code(rows: Rows, subject: EventSubject, event: e.QrEvent | e.PairingCodeEvent) -> None:
    """That one was shown, not what it said."""
    _happening(rows, subject, event, data={"expires_at": event.data.expires_at})


def _contact(rows: Rows, subject: EventSubject, event: e.ContactEvent) -> None:
    data = event.data
    at = milliseconds(event.timestamp)
    _seen(
        rows,
        subject.tenant,
        Person(pn=data.person.pn, lid=data.person.lid, name=data.name or data.person.name),
        at,
    )
    _seen(rows, subject.tenant, Person(pn=data.pn, lid=data.lid), at)


def _group(rows: Rows, subject: EventSubject, event: e.GroupEvent) -> None:
    data = event.data
    at = milliseconds(event.timestamp)
    rows.groups.append(GroupRow(subject.tenant, data.group, _clean(data.subject), at))
    for person in data.participants:
        _seen(rows, subject.tenant, person, at)
    _happening(rows, subject, event)


def _happening(rows: Rows, subject: EventSubject, event: Any, data: Any = None) -> None:
    rows.happenings[event.id] = HappeningRow(
        subject.tenant,
        event.id,
        subject.session,
        e.event_type(event),
        _bigint(event.epoch),
        _bigint(event.sequence),
        _to_json(event.data if data is None else data).decode(),
        milliseconds(event.timestamp),
    )


_KINDS: dict[type, Callable[[Rows, EventSubject, Any], None]] = {
    e.MessageEvent: _message,
    e.StatusEvent: _status,
    e.ReactionEvent: _reaction,
    e.EditEvent: _edit,
    e.DeleteEvent: _delete,
    e.PinEvent: _pin,
    e.PollVoteEvent: _poll_vote,
    e.MediaEvent: _media,
    e.ChatEvent: _chat,
    e.SessionEvent: _session,
    e.QrEvent: _code,
    e.PairingCodeEvent: _code,
    e.ContactEvent: _contact,
    e.GroupEvent: _group,
    e.CallEvent: _happening,
    e.ChatSettingEvent: _happening,
    e.MarkEvent: _happening,
    e.HistoryEvent: _happening,
    e.LabelEvent: _happening,
    e.AlertEvent: _happening,
    e.DeadLetterEvent: _happening,
}
"""Presence is not kept: it is over before it is written. Nor are posts: they are said to nobody."""
