"""Events to stimuli, and a batch of them onto the board. What is no message, or of no chat, is none of ours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import events, subjects
from pywhatsweb.contracts.decoding import decoder
from pywhatsweb.contracts.ids import TenantId, TenantKey
from pywhatsweb.contracts.rule_data import COMMAND_PREFIX
from pywhatsweb.contracts.statuses import MessageStatus, Origin
from pywhatsweb_fleet.kanban.board import MessageIn, MessageOut
from pywhatsweb_fleet.kanban.recording import Board
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.kanban import Place

ATTENDANT = "attendant_id"
"""In a send command's metadata: whose reply it is."""
KINDS = ("message", "status")
_REPLIED = (MessageStatus.ACCEPTED, MessageStatus.QUEUED, MessageStatus.SENT)
"""Of these, those of the dispatcher carry the command's metadata: a reply counts when it is on its way."""


class Said(NamedTuple):
    """A stimulus, and the session in which it was."""

    session: str
    stimulus: MessageIn | MessageOut


class _Step(msgspec.Struct):
    status: str = ""
    metadata: dict[str, Any] = {}


class _StepEvent(msgspec.Struct):
    data: _Step


_event = decoder(events.AnyEvent)
_step = decoder(_StepEvent)


def _concerns(step: _Step) -> bool:
    """Most statuses do not, and need no more decoding."""
    return ATTENDANT in step.metadata and step.status in _REPLIED


def stimulus_of(subject: str, body: bytes) -> Said | None:
    """The stimulus in an event; None for one that does not concern the board. Raises ContractError or ValueError.

    Who sent a message of ours is known from its command's metadata, which comes with its `status` events; a message
    without a command was typed on the account's own phone.
    """
    parsed = subjects.parse_event(subject)
    if parsed is None or parsed.kind not in KINDS or parsed.chat == subjects.NO_CHAT:
        return None
    if parsed.kind == "status" and not _concerns(_step(body).data):
        return None
    event = _event(body)
    at = min(_milliseconds(event.timestamp), time.time_ns() // 1_000_000)
    if isinstance(event, events.MessageEvent):
        message = event.data
        if message.history or (message.command_id or "").startswith(COMMAND_PREFIX):
            return None  # a rule's message is nobody's answer
        if message.origin is Origin.INBOUND and not message.from_self:
            return Said(parsed.session, MessageIn(event.id, at, message.chat))
        human = message.command_id is None
        return Said(parsed.session, MessageOut(event.id, at, message.chat, human=human))
    if isinstance(event, events.StatusEvent):
        data = event.data
        who = data.metadata.get(ATTENDANT)
        if data.status not in _REPLIED or data.duplicate or data.chat is None:
            return None
        if isinstance(who, str) and who:
            return Said(parsed.session, MessageOut(event.id, at, data.chat, by=who[:128]))
    return None


class Advance(NamedTuple):
    """From where to where a batch moves the tenant's place."""

    before: Place | None
    after: Place


def settle(
    conn: Connection, tenant: TenantId, key: TenantKey, told: Sequence[Said], move: Advance
) -> int | None:
    """Puts a batch on the board and moves the tenant's place, in one transaction; how much there is to be told.

    None, and nothing is done, when another replica was faster.
    """
    board = Board(conn, tenant, key, time.time_ns() // 1_000_000)
    present = kanban.place(conn, tenant)
    if (present and present[:2]) != (move.before and move.before[:2]):
        return None
    for said in told:
        board.advance(said.session, said.stimulus.chat.key, said.stimulus)
    kanban.save_place(conn, tenant, move.after)
    return board.transitions + board.actions


def _milliseconds(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
