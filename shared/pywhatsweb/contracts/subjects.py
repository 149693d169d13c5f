"""Every subject of the fleet: the only place that spells one.

Two families stand side by side:

* ``wa.…`` is what users and services read and publish (INTERFACE: commands, control, events, queues).
* ``wai.…`` is where the fleet publishes what goes into an events stream. The stream rewrites
  ``wai.<kind>.<tenant>.…`` to ``wa.<kind>.<tenant>.…`` as it stores, and republishes it then. So a plain
  subscriber of ``wa.evt.…`` sees exactly what was stored: no event of a fenced-off owner, no repeat.

Tenant and session names are ``[a-z0-9][a-z0-9_-]{0,62}``: they hold no dot, wildcard or space, so a name is one token.
Where a command's subject has its session an inbox may stand: ``@`` and such a name, which no session can have.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_INBOX = re.compile(r"@[a-z0-9][a-z0-9_-]{0,61}")

NO_CHAT = ChatKey("-")
NO_SESSION = SessionId("-")
"""Stands for the session in events about a command whose session token is not a valid name."""

ALL_CHATS = ChatKey("*")
"""In place of a chat's key: a subscription to every chat's events."""

ALL_EVENTS = "wa.evt.>"
ALL_OWNERSHIP = "wa.own.*.*"
ALL_NOW = "wa.now.*.*"


def valid_name(name: str) -> bool:
    """Whether ``name`` may name a tenant or a session."""
    return _NAME.fullmatch(name) is not None


def valid_inbox(name: str) -> bool:
    """Whether ``name`` may name an inbox of several sessions (`contracts.inbox_data`)."""
    return _INBOX.fullmatch(name) is not None


def valid_addressee(name: str) -> bool:
    """Whether commands may be addressed to ``name``: a session, or an inbox."""
    return valid_name(name) or valid_inbox(name)


# Commands and control: published by users.


def command(tenant: TenantId, session: SessionId, verb: str = "send") -> str:
    return f"wa.cmd.{tenant}.{session}.{verb}"


def all_commands(tenant: TenantId) -> str:
    return f"wa.cmd.{tenant}.>"


def control(tenant: TenantId, noun: str, verb: str) -> str:
    return f"wa.ctl.{tenant}.{noun}.{verb}"


ALL_CONTROL = "wa.ctl.*"
"""Followed by ``.<noun>.<verb>``: what a service answers, for every tenant."""


def parse_control(subject: str) -> tuple[str, str] | None:
    """Tenant and ``noun.verb`` of a request's subject, or None when it has another form. Names are not checked."""
    parts = subject.split(".", 3)
    if len(parts) != 4 or parts[0] != "wa" or parts[1] != "ctl":
        return None
    return parts[2], parts[3]


ALL_OPERATIONS = "wa.ops.*.*"
"""The platform's own control plane, ``wa.ops.<noun>.<verb>``: no tenant's account imports any of it."""


def operation(noun: str, verb: str) -> str:
    return f"wa.ops.{noun}.{verb}"


def inbox(service: str) -> str:
    """The prefix of a service's inboxes: its user may listen to these answers and to no others."""
    return f"_INBOX_{service}"


class CommandSubject(NamedTuple):
    tenant: str
    session: str
    verb: str


def parse_command(subject: str) -> CommandSubject | None:
    """The parts of a command's subject, or None when it has another form. Names are not checked."""
    parts = subject.split(".", 4)
    if len(parts) != 5 or parts[0] != "wa" or parts[1] != "cmd":
        return None
    return CommandSubject(parts[2], parts[3], parts[4])


# Scheduled commands, in a stream of their own: a message schedule and what it fires when due.


def schedule(tenant: TenantId, session: SessionId, digest: str) -> str:
    return f"wa.sch.{tenant}.{session}.{digest}"


def due(tenant: TenantId, session: SessionId, verb: str) -> str:
    return f"wa.due.{tenant}.{session}.{verb}"


def all_due(tenant: TenantId) -> str:
    return f"wa.due.{tenant}.>"


def parse_due(subject: str) -> CommandSubject | None:
    parts = subject.split(".", 4)
    if len(parts) != 5 or parts[0] != "wa" or parts[1] != "due":
        return None
    return CommandSubject(parts[2], parts[3], parts[4])


# The outbox: a FIFO a session, without consumers, and its wake-ups (core messages).


def out(tenant: TenantId, session: SessionId) -> str:
    return f"wa.out.{tenant}.{session}"


def wake(tenant: TenantId, session: SessionId) -> str:
    return f"wa.wake.{tenant}.{session}"


# Events, ownership and the sessions' present state: one stream a tenant.


def event(tenant: TenantId, session: SessionId, kind: str, chat: ChatKey = NO_CHAT) -> str:
    return f"wa.evt.{tenant}.{session}.{kind}.{chat}"


def event_ingest(tenant: TenantId, session: SessionId, kind: str, chat: ChatKey = NO_CHAT) -> str:
    return f"wai.evt.{tenant}.{session}.{kind}.{chat}"


class EventSubject(NamedTuple):
    tenant: str
    session: str
    kind: str
    chat: str


def parse_event(subject: str) -> EventSubject | None:
    parts = subject.split(".")
    if len(parts) != 6 or parts[0] != "wa" or parts[1] != "evt":
        return None
    return EventSubject(*parts[2:])


def own(tenant: TenantId, session: SessionId) -> str:
    """The ownership record; its stream sequence is the session's epoch."""
    return f"wa.own.{tenant}.{session}"


def own_ingest(tenant: TenantId, session: SessionId) -> str:
    return f"wai.own.{tenant}.{session}"


def now(tenant: TenantId, session: SessionId) -> str:
    """The session's present state, as its owner last told it (kept without an age)."""
    return f"wa.now.{tenant}.{session}"


def all_now(tenant: TenantId) -> str:
    return f"wa.now.{tenant}.*"


def now_ingest(tenant: TenantId, session: SessionId) -> str:
    return f"wai.now.{tenant}.{session}"


def parse_session(subject: str) -> tuple[str, str] | None:
    """Tenant and session of an ``own``, ``now``, ``out`` or ``wake`` subject."""
    parts = subject.split(".")
    return (parts[2], parts[3]) if len(parts) == 4 else None


# Live questions to the worker that owns a session (core request/reply), dead letters.


def ask(tenant: TenantId, session: SessionId) -> str:
    return f"wa.ask.{tenant}.{session}"


def deadletter(tenant: TenantId, session: str, kind: str, chat: str, letter: str) -> str:
    """``kind``: ``command`` or ``event``; ``letter``: its id. Wildcards are welcome.

    The chat's key lets an erasure purge what was set aside of a person.
    """
    return f"wa.dlq.{tenant}.{session}.{kind}.{chat}.{letter}"


class DeadLetterSubject(NamedTuple):
    tenant: str
    session: str
    kind: str
    chat: str
    letter: str


def parse_deadletter(subject: str) -> DeadLetterSubject | None:
    parts = subject.split(".")
    return DeadLetterSubject(*parts[2:]) if len(parts) == 7 and parts[1] == "dlq" else None
