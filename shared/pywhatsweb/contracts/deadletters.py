"""A dead letter in its stream: the body as it came, and in headers what it is and why it lies here.

A letter has a subject of its own, which ends in its id: setting the same thing aside again replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import ChatKey, CommandId, EventId, TenantId, TenantKey, stable_event_id
from pywhatsweb.errors import ErrorCode, error_struct

COMMAND, EVENT = "command", "event"

REDRIVEN = "Pww-Redriven"
"""Header of what was put back: the letter's id. A command that is rejected then is set aside again."""
CAUSATION = "X-Causation-Id"

_CODE = "Pww-Code"
_SUBJECT = "Pww-Subject"
_SEQUENCE = "Pww-Sequence"
_AT = "Pww-At"
_ATTEMPTS = "Pww-Attempts"
_COMMAND = "Pww-Command-Id"
_READER = "Pww-Reader"
_REASON = "Pww-Reason"


class Letter(NamedTuple):
    """`sequence` is where it stood in the stream that it came from; `at` when it was set aside, in milliseconds."""

    id: EventId
    kind: str
    session: str
    code: str
    subject: str
    sequence: int
    at: int
    chat: str = subjects.NO_CHAT
    attempts: int = 1
    command_id: str = ""
    reader: str = ""
    reason: str = ""

    @property
    def redriven_id(self) -> CommandId:
        """The id of the command that this one becomes: the same at every try to put it back."""
        return CommandId(f"redrive-{self.id}-{self.sequence}")


def to_headers(letter: Letter) -> dict[str, str]:
    headers = {
        "Nats-Msg-Id": f"{letter.id}-{letter.sequence}",
        _CODE: letter.code,
        _SUBJECT: letter.subject,
        _SEQUENCE: str(letter.sequence),
        _AT: str(letter.at),
        _ATTEMPTS: str(letter.attempts),
    }
    optional = {_COMMAND: letter.command_id, _READER: letter.reader, _REASON: letter.reason}
    return headers | {name: value for name, value in optional.items() if value}


def from_headers(subject: str, headers: Mapping[str, str]) -> Letter:
    """Raises KeyError or ValueError when they are not the fleet's."""
    named = subjects.parse_deadletter(subject)
    if named is None:
        raise ValueError("not a dead letter's subject")
    return Letter(
        id=EventId(named.letter),
        kind=named.kind,
        session=named.session,
        code=headers[_CODE],
        subject=headers[_SUBJECT],
        sequence=int(headers[_SEQUENCE]),
        at=int(headers[_AT]),
        chat=named.chat,
        attempts=int(headers.get(_ATTEMPTS, "1")),
        command_id=headers.get(_COMMAND, ""),
        reader=headers.get(_READER, ""),
        reason=headers.get(_REASON, ""),
    )


def subject_of(tenant: TenantId, letter: Letter) -> str:
    return subjects.deadletter(tenant, letter.session, letter.kind, letter.chat, letter.id)


def event_id(key: TenantKey, letter: Letter) -> EventId:
    """Of the `deadletter` event that tells it."""
    return stable_event_id(key, "set aside", letter.id, str(letter.sequence))


def told(letter: Letter, received_at: str) -> d.DeadLetter:
    """What the `deadletter` event says."""
    return d.DeadLetter(
        id=letter.id,
        kind=letter.kind,
        error=error_struct(ErrorCode.from_wire(letter.code)),
        attempts=letter.attempts,
        command_id=letter.command_id or None,
        chat=d.Chat(key=ChatKey(letter.chat)) if letter.chat != subjects.NO_CHAT else None,
        received_at=received_at,
    )
