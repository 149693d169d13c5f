"""A command in the outbox: the publisher's own bytes, and in headers what the dispatcher made of them.

The body travels untouched, so fields that this version does not know reach the session worker. Headers are ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pywhatsweb.contracts.ids import ChatKey, CommandId, WhatsAppMessageId

_VERB = "Pww-Verb"
_COMMAND = "Pww-Command-Id"
_DIGEST = "Nats-Msg-Id"
_MESSAGE = "Pww-Message-Id"
_RECIPIENT = "Pww-Recipient"
_CHAT = "Pww-Chat"
_EXPIRES = "Pww-Expires-At"
_ACCEPTED = "Pww-Accepted-At"
_CORRELATION = "X-Correlation-Id"
_TARGET = "Pww-Target"
_INBOX = "Pww-Inbox"
_TRACE = "traceparent"


class Queued(NamedTuple):
    """What the session worker needs beside the body."""

    verb: str
    command_id: CommandId
    digest: str
    """`ids.command_digest`, the dedupe id in the outbox."""
    message_id: WhatsAppMessageId
    recipient: str
    """``pn:+5511…``, ``lid:…``, ``group:…``, or empty for commands without one."""
    chat: ChatKey
    accepted_at: int
    """Milliseconds since 1970."""
    expires_at: int = 0
    """Milliseconds since 1970; 0: never."""
    correlation_id: str = ""
    target: str = ""
    """Of a cancel: the digest of the command to cancel."""
    traceparent: str = ""
    """W3C's, where the command belongs to a trace."""
    inbox: str = ""
    """Where it was sent to, when that was not the session itself."""


def to_headers(queued: Queued) -> dict[str, str]:
    headers = {
        _DIGEST: queued.digest,
        _VERB: queued.verb,
        _COMMAND: queued.command_id,
        _MESSAGE: queued.message_id,
        _CHAT: queued.chat,
        _ACCEPTED: str(queued.accepted_at),
    }
    if queued.recipient:
        headers[_RECIPIENT] = queued.recipient
    if queued.expires_at:
        headers[_EXPIRES] = str(queued.expires_at)
    if queued.correlation_id:
        headers[_CORRELATION] = queued.correlation_id
    if queued.target:
        headers[_TARGET] = queued.target
    if queued.traceparent:
        headers[_TRACE] = queued.traceparent
    if queued.inbox:
        headers[_INBOX] = queued.inbox
    return headers


def from_headers(headers: Mapping[str, str]) -> Queued:
    """Raises KeyError or ValueError when they are not a dispatcher's."""
    return Queued(
        verb=headers[_VERB],
        command_id=CommandId(headers[_COMMAND]),
        digest=headers[_DIGEST],
        message_id=WhatsAppMessageId(headers[_MESSAGE]),
        recipient=headers.get(_RECIPIENT, ""),
        chat=ChatKey(headers[_CHAT]),
        accepted_at=int(headers[_ACCEPTED]),
        expires_at=int(headers.get(_EXPIRES, "0")),
        correlation_id=headers.get(_CORRELATION, ""),
        target=headers.get(_TARGET, ""),
        traceparent=headers.get(_TRACE, ""),
        inbox=headers.get(_INBOX, ""),
    )
