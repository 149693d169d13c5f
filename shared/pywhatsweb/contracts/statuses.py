"""The enumerations of events, and the rule that statuses of a command never go back."""

from __future__ import annotations

from enum import StrEnum


class SessionStatus(StrEnum):
    """``STOPPED → STARTING → SCAN_QR_CODE | PAIRING_CODE | PASSKEY_REQUIRED → WORKING ⇄ RECONNECTING``."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    SCAN_QR_CODE = "SCAN_QR_CODE"
    PAIRING_CODE = "PAIRING_CODE"
    PASSKEY_REQUIRED = "PASSKEY_REQUIRED"
    WORKING = "WORKING"
    RECONNECTING = "RECONNECTING"
    LOGGED_OUT = "LOGGED_OUT"
    REPLACED = "REPLACED"
    BANNED = "BANNED"
    FAILED = "FAILED"

    @property
    def legacy(self) -> str:
        """PyWhatsWeb 0.5's name: disconnected, connecting, connected, ready or error."""
        return _LEGACY_SESSION[self]

    @property
    def final(self) -> bool:
        """Whether the session stays so until somebody starts it again."""
        return self in _FINAL_SESSION


_LEGACY_SESSION = {
    SessionStatus.STOPPED: "disconnected",
    SessionStatus.STARTING: "connecting",
    SessionStatus.SCAN_QR_CODE: "connecting",
    SessionStatus.PAIRING_CODE: "connecting",
    SessionStatus.PASSKEY_REQUIRED: "connected",
    SessionStatus.WORKING: "ready",
    SessionStatus.RECONNECTING: "connecting",
    SessionStatus.LOGGED_OUT: "disconnected",
    SessionStatus.REPLACED: "disconnected",
    SessionStatus.BANNED: "error",
    SessionStatus.FAILED: "error",
}
_FINAL_SESSION = frozenset(
    (
        SessionStatus.STOPPED,
        SessionStatus.LOGGED_OUT,
        SessionStatus.REPLACED,
        SessionStatus.BANNED,
        SessionStatus.FAILED,
    )
)


class MessageStatus(StrEnum):
    """``accepted → queued → sent → delivered → read → played``, or an end on the way.

    `unknown` says that a send was begun and its end was not seen; an ack or the history may settle it later.
    """

    ACCEPTED = "accepted"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """Its place in the order; an end that is not a success comes after everything."""
        return _RANK[self]

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return not _FOLLOWERS[self]

    @property
    def settled(self) -> bool:
        """Whether the command has its named outcome: a publisher need not wait any longer."""
        return self not in (MessageStatus.ACCEPTED, MessageStatus.QUEUED)

    @property
    def legacy(self) -> str:
        """PyWhatsWeb 0.5's name: pending, sent, delivered, read or failed."""
        return _LEGACY_MESSAGE.get(self, "failed")


_RANK = {
    MessageStatus.ACCEPTED: 0,
    MessageStatus.QUEUED: 1,
    MessageStatus.UNKNOWN: 2,
    MessageStatus.SENT: 3,
    MessageStatus.DELIVERED: 4,
    MessageStatus.READ: 5,
    MessageStatus.PLAYED: 6,
    MessageStatus.FAILED: 7,
    MessageStatus.REJECTED: 7,
    MessageStatus.EXPIRED: 7,
    MessageStatus.CANCELLED: 7,
}
_LEGACY_MESSAGE = {
    MessageStatus.ACCEPTED: "pending",
    MessageStatus.QUEUED: "pending",
    MessageStatus.UNKNOWN: "pending",
    MessageStatus.SENT: "sent",
    MessageStatus.DELIVERED: "delivered",
    MessageStatus.READ: "read",
    MessageStatus.PLAYED: "read",
}
_UNSENT_ENDS = {
    MessageStatus.FAILED,
    MessageStatus.REJECTED,
    MessageStatus.EXPIRED,
    MessageStatus.CANCELLED,
}


def _followers(status: MessageStatus) -> frozenset[MessageStatus]:
    if status.rank == _RANK[MessageStatus.FAILED]:
        return frozenset()
    onward = {s for s in MessageStatus if status.rank < s.rank <= _RANK[MessageStatus.PLAYED]}
    if status in (MessageStatus.ACCEPTED, MessageStatus.QUEUED):
        onward |= _UNSENT_ENDS
    else:
        # WhatsApp has it, or may have: it can no longer be rejected, expire or be cancelled.
        onward |= {MessageStatus.FAILED} if status in (MessageStatus.UNKNOWN, MessageStatus.SENT) else set()
    return frozenset(onward)


_FOLLOWERS = {status: _followers(status) for status in MessageStatus}


def may_follow(previous: MessageStatus | None, status: MessageStatus) -> bool:
    """Whether `status` may come after `previous` (None: nothing was told yet). A repeat may not."""
    return previous is None or status in _FOLLOWERS[previous]


class Origin(StrEnum):
    """Where a message came from: answers to `outbound` ones would loop."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class KanbanStatus(StrEnum):
    NEW = "new"
    ACTIVE = "active"
    DONE = "done"


class MessageType(StrEnum):
    """The `type` of a message event; a later version may add some."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    LIVE_LOCATION = "live_location"
    CONTACTS = "contacts"
    POLL = "poll"
    INTERACTIVE = "interactive"
    REACTION = "reaction"
    EVENT = "event"
    TEMPLATE = "template"
    DISAPPEARING = "disappearing"
    UNSUPPORTED = "unsupported"
