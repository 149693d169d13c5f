"""0.5's enumerations: a view of the fleet's own (`contracts.statuses`), with ``choices()`` for Django fields."""

from __future__ import annotations

from enum import StrEnum


class _Choices(StrEnum):
    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        """``(value, label)`` for a Django field."""
        return [(each.value, each.name.replace("_", " ").capitalize()) for each in cls]


class SessionStatus(_Choices):
    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    READY = "ready"
    ERROR = "error"


class MessageType(_Choices):
    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"


class KanbanStatus(_Choices):
    NEW = "new"
    ACTIVE = "active"
    DONE = "done"


class MessageStatus(_Choices):
    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class EventType(_Choices):
    QR = "qr"
    CONNECTING = "connecting"
    AUTHENTICATED = "authenticated"
    READY = "ready"
    MESSAGE = "message"
    MESSAGE_CREATE = "message_create"
    """Every message, our own too; `message` is inbound ones only, so that an answer cannot loop."""
    MESSAGE_STATUS = "message_status"
    DISCONNECTED = "disconnected"
    HEARTBEAT = "heartbeat"
    HEARTBEAT_FAILED = "heartbeat_failed"
    ERROR = "error"
    ALERT = "alert"
