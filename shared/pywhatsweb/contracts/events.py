"""What happened: events on ``wa.evt.<tenant>.<session>.<type>.<chat key or ->``.

The envelope is the same for all; `event` is the union's tag and tells the Struct in `data` (`event_data.py`).
`headers` gives the CloudEvents attributes (binary mode) that travel beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import history_data as hd
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts.codec import CONTENT_TYPES, Form
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.contracts.statuses import (
    KanbanStatus,
    MessageStatus,
    MessageType,
    Origin,
    SessionStatus,
    may_follow,
)

__all__ = [
    "CE_TYPES",
    "EVENT_TYPES",
    "AnyEvent",
    "KanbanStatus",
    "MessageStatus",
    "MessageType",
    "Origin",
    "SessionStatus",
    "event_type",
    "headers",
    "may_follow",
    "timestamp",
    "type_of_header",
]


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """The envelope. `id` is stable: an event that is reported again has the same, which removes the repeat.

    `sequence` counts a session's events from 1 within an `epoch` (the stream sequence of the session's
    ownership record): (epoch, sequence) only grows. `causation_id` is the command or event that this one came
    of.
    """

    id: str
    tenant_id: str
    session_id: str
    timestamp: Timestamp
    sequence: int = 0
    trace_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    epoch: int = 0


class QrEvent(Event, frozen=True, kw_only=True, tag="qr"):
    """A code to scan; a newer one replaces it until `session` says WORKING or FAILED (pairing_timeout)."""

    data: d.Qr


class PairingCodeEvent(Event, frozen=True, kw_only=True, tag="pairing_code"):
    """A code to type on the phone, for pairing ``code``; followed as `qr` is."""

    data: d.PairingCode


class SessionEvent(Event, frozen=True, kw_only=True, tag="session"):
    """At every change of a session's status."""

    data: d.SessionState


class MessageEvent(Event, frozen=True, kw_only=True, tag="message"):
    """A message came in, or this account sent one (from the fleet or the phone). `media` may follow."""

    data: d.Message


class StatusEvent(Event, frozen=True, kw_only=True, tag="status"):
    """At every step of a command; the next one never goes back (`may_follow`)."""

    data: d.Status


class ChatEvent(Event, frozen=True, kw_only=True, tag="chat"):
    """At every change of a chat's card on the Kanban board."""

    data: d.ChatState


class ReactionEvent(Event, frozen=True, kw_only=True, tag="reaction"):
    """Somebody set or took away an emoji."""

    data: d.Reacted


class EditEvent(Event, frozen=True, kw_only=True, tag="edit"):
    """A message got a new content; the `message` event came before, or the message is older than the
    session."""

    data: d.Edited


class DeleteEvent(Event, frozen=True, kw_only=True, tag="delete"):
    """A message was taken away for everyone."""

    data: d.Deleted


class PollVoteEvent(Event, frozen=True, kw_only=True, tag="poll_vote"):
    """Somebody voted, or changed the vote."""

    data: d.PollVote


class PinEvent(Event, frozen=True, kw_only=True, tag="pin"):
    """Somebody pinned a message in a chat, or took the pin away."""

    data: d.Pinned


class ChatSettingEvent(Event, frozen=True, kw_only=True, tag="chat_setting"):
    """A device of the account (its phone, the fleet, another one) archived, muted, pinned or marked a chat. The first
    change after a pairing may bring what was so before."""

    data: d.ChatSetting


class MarkEvent(Event, frozen=True, kw_only=True, tag="mark"):
    """A device of the account starred a message, or deleted it for itself. The record keeps it as it is."""

    data: d.Marked


class PostEvent(Event, frozen=True, kw_only=True, tag="post"):
    """Somebody posted to all who follow them: a status (story) or in a channel; or took it back. It is no message: it
    opens no chat and no card, and is not kept in the record."""

    data: d.Post


class HistoryEvent(Event, frozen=True, kw_only=True, tag="history"):
    """The phone told a part of the past, at pairing or as the answer to history.fetch: its messages came before, as
    `message` events marked `history`."""

    data: hd.HistoryPart


class LabelEvent(Event, frozen=True, kw_only=True, tag="label"):
    """A device of the account (its phone, the fleet, another one) made, changed or deleted a label, or put it on a chat
    or message, or took it off. The first look at the labels may bring what was so before."""

    data: lb.LabelChange


class PresenceEvent(Event, frozen=True, kw_only=True, tag="presence"):
    """Somebody is there or typing. May be lost: nothing is to be built on it."""

    data: d.PresenceState


class ContactEvent(Event, frozen=True, kw_only=True, tag="contact"):
    """A name, or that a LID and a number are one person, was learned."""

    data: d.ContactSeen


class GroupEvent(Event, frozen=True, kw_only=True, tag="group"):
    """A group changed."""

    data: d.GroupChange


class CallEvent(Event, frozen=True, kw_only=True, tag="call"):
    """A call rings or ends; the same `id` follows it."""

    data: d.Call


class AlertEvent(Event, frozen=True, kw_only=True, tag="alert"):
    """Something that a person should look at."""

    data: d.Alert


class DeadLetterEvent(Event, frozen=True, kw_only=True, tag="deadletter"):
    """A command or event was set aside after its last try; deadletter.redrive puts it back."""

    data: d.DeadLetter


class MediaEvent(Event, frozen=True, kw_only=True, tag="media"):
    """A message's file was fetched and stored, or cannot be had."""

    data: d.MediaStored


AnyEvent = (
    QrEvent
    | PairingCodeEvent
    | SessionEvent
    | MessageEvent
    | StatusEvent
    | ChatEvent
    | ReactionEvent
    | EditEvent
    | DeleteEvent
    | PollVoteEvent
    | PinEvent
    | ChatSettingEvent
    | MarkEvent
    | PostEvent
    | HistoryEvent
    | LabelEvent
    | PresenceEvent
    | ContactEvent
    | GroupEvent
    | CallEvent
    | AlertEvent
    | DeadLetterEvent
    | MediaEvent
)

EVENT_TYPES: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in AnyEvent.__args__}
"""Type → Struct."""
CE_TYPES: dict[str, str] = {tag: f"pywhatsweb.{tag}" for tag in EVENT_TYPES}
"""Type → the ``ce-type`` header."""

_TAG: dict[type, str] = {kind: tag for tag, kind in EVENT_TYPES.items()}
_CE_TYPE: dict[type, str] = {kind: CE_TYPES[tag] for tag, kind in EVENT_TYPES.items()}


def event_type(event: Event) -> str:
    """The `event` field: also the fifth token of the subject."""
    return _TAG[type(event)]


def headers(event: Event, form: Form = "msgpack") -> dict[str, str]:
    """CloudEvents 1.0 in binary mode, and ours. Values are ASCII but for a correlation id, which is
    printable."""
    found = {
        "Nats-Msg-Id": event.id,
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": _CE_TYPE[type(event)],
        "ce-source": f"/tenants/{event.tenant_id}/sessions/{event.session_id}",
        "ce-time": event.timestamp,
        "Content-Type": CONTENT_TYPES[form],
        "X-Tenant-Id": event.tenant_id,
        "X-Session-Id": event.session_id,
    }
    if event.correlation_id is not None:
        found["X-Correlation-Id"] = event.correlation_id
    return found


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def timestamp(milliseconds: int | None = None) -> str:
    """Milliseconds since 1970 (now when absent) as ``2026-11-22T12:00:00.123Z``."""
    if milliseconds is None:
        milliseconds = time.time_ns() // 1_000_000
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


def type_of_header(found: Mapping[str, str] | None) -> str | None:
    """The event's type from its headers, or None: lets a reader skip a body that it does not know."""
    kind = (found or {}).get("ce-type")
    return None if kind is None else kind.removeprefix("pywhatsweb.")
