"""The contracts between users and the fleet, and inside it: Structs, codec, subjects, streams. No I/O.

    commands, content, interactive   what users ask
    events, event_data, statuses     what happened
    control, control_data            the control plane
    subjects, streams, ids, codec    where it travels, and how
    queued                           a command in the outbox
    schema                           JSON Schema and AsyncAPI, made from the Structs

A module is imported by its name (``from pywhatsweb.contracts import commands``); the names below are what almost
every user needs.
"""

from pywhatsweb.contracts.codec import Form, decode, encode, form_of
from pywhatsweb.contracts.commands import AnyCommand, Send, SendText
from pywhatsweb.contracts.content import Text
from pywhatsweb.contracts.event_data import Chat, Person
from pywhatsweb.contracts.events import AnyEvent, Event, MessageEvent, SessionEvent, StatusEvent
from pywhatsweb.contracts.statuses import (
    KanbanStatus,
    MessageStatus,
    MessageType,
    Origin,
    SessionStatus,
    may_follow,
)

__all__ = [
    "AnyCommand",
    "AnyEvent",
    "Chat",
    "Event",
    "Form",
    "KanbanStatus",
    "MessageEvent",
    "MessageStatus",
    "MessageType",
    "Origin",
    "Person",
    "Send",
    "SendText",
    "SessionEvent",
    "SessionStatus",
    "StatusEvent",
    "Text",
    "decode",
    "encode",
    "form_of",
    "may_follow",
]
