"""Identifiers: distinct types, made and read here only; everybody else treats them as opaque.

What stands in a subject, a ``Nats-Msg-Id``, a metric label or a log line must not tell a phone number, so the ids
derived from people or messages are HMAC-SHA256 under the tenant's own 32-byte key.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from hashlib import _Hash

TenantId = NewType("TenantId", str)
SessionId = NewType("SessionId", str)
ChatKey = NewType("ChatKey", str)
"""16 hex digits that stand for a chat, stable within a tenant."""
CommandId = NewType("CommandId", str)
"""The publisher's idempotency key: 1 to 128 printable characters."""
WhatsAppMessageId = NewType("WhatsAppMessageId", str)
EventId = NewType("EventId", str)
TenantKey = NewType("TenantKey", bytes)
"""32 random bytes, secret, made with the tenant."""

_BLOCK: Final = 64
_INNER, _OUTER = (bytes(byte ^ mask for byte in range(256)) for mask in (0x36, 0x5C))


def _digest(key: bytes, *parts: str) -> str:
    """HMAC-SHA256 in hex, from hashes that have the key: 1 µs, where `hmac.digest` takes 9, ten times a message."""
    begun, around = _begun(key)
    inner, outer = begun.copy(), around.copy()
    inner.update("\x1f".join(parts).encode())
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=4096)
def _begun(key: bytes) -> tuple[_Hash, _Hash]:
    """The inner and outer hash of RFC 2104, which have taken the key."""
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))


def new_tenant_key() -> TenantKey:
    return TenantKey(secrets.token_bytes(32))


def new_command_id() -> CommandId:
    return CommandId("cmd_" + secrets.token_hex(12))


def new_event_id() -> EventId:
    """For events that cannot happen twice in the same way (a QR code, a state change)."""
    return EventId("evt_" + secrets.token_hex(12))


def chat_key(
    key: TenantKey, *, pn: str | None = None, lid: str | None = None, group: str | None = None
) -> ChatKey:
    """The key of a chat: of its group, else of the phone number, else of the LID.

    ``pn`` is E.164 with its plus; ``lid`` and ``group`` are the parts before the ``@``.
    Raises ValueError when all three are absent.
    """
    if group:
        name = "group:" + group
    elif pn:
        name = "pn:" + pn
    elif lid:
        name = "lid:" + lid
    else:
        raise ValueError("a chat needs a group, a phone number or a LID")
    return ChatKey(_digest(key, "chat", name)[:16])


def whatsapp_message_id(key: TenantKey, session: SessionId, command: CommandId) -> WhatsAppMessageId:
    """The id under which a command is sent, the same at every try.

    ``3EB0`` and 18 upper-case hex digits is the form that WhatsApp Web itself makes.
    """
    return WhatsAppMessageId("3EB0" + _digest(key, "wamid", session, command)[:18].upper())


def stable_event_id(key: TenantKey, *parts: str) -> EventId:
    """The id of an event that may be reported again (a redelivered message, a repeated receipt)."""
    return EventId(_digest(key, "event", *parts)[:32])


def command_digest(key: TenantKey, session: SessionId, command: CommandId) -> str:
    """32 hex digits that stand for a command where its id may not (subjects, dedupe ids)."""
    return _digest(key, "command", session, command)[:32]
