"""0.5's models: plain data for a program's own use; the fleet's record is asked for through the client."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pywhatsweb.errors import ErrorCode, MessageError, SessionError
from pywhatsweb.legacy.enums import KanbanStatus, MessageStatus, MessageType

MAX_ATTENDANCE = timedelta(hours=2)
"""What `Chat.is_taking_too_long` measures by, unless told another limit."""


def _now() -> datetime:
    return datetime.now(UTC)


def _trace() -> str:
    return str(uuid.uuid4())


@dataclass
class Contact:
    phone: str
    name: str | None = None
    is_group: bool = False
    is_business: bool = False
    profile_picture: str | None = None
    status: str | None = None
    last_seen: datetime | None = None
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)


@dataclass
class Message:
    """`mark_as_…` moves `status` forward only; what WhatsApp reports late is ignored, as in the fleet."""

    id: str
    content: str
    sender: Contact
    recipient: Contact
    message_type: MessageType = MessageType.TEXT
    timestamp: datetime = field(default_factory=_now)
    status: MessageStatus = MessageStatus.PENDING
    metadata: dict[str, Any] = field(default_factory=dict)
    trace_id: str = field(default_factory=_trace)
    producer_id: str | None = None
    correlation_id: str | None = None
    sequence_number: int | None = None
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)

    def get_idempotency_key(self) -> str:
        """``producer_id:sequence_number`` where both are known, else ``trace_id:timestamp``."""
        if self.producer_id is not None and self.sequence_number is not None:
            return f"{self.producer_id}:{self.sequence_number}"
        return f"{self.trace_id}:{self.timestamp.isoformat()}"

    def mark_as_sent(self) -> None:
        self._forward(MessageStatus.SENT)

    def mark_as_delivered(self) -> None:
        self._forward(MessageStatus.DELIVERED)

    def mark_as_read(self) -> None:
        self._forward(MessageStatus.READ)

    def mark_as_failed(self, error: str | None = None) -> None:
        """From any status. `error` is kept in `metadata`."""
        self.status = MessageStatus.FAILED
        self.updated_at = _now()
        if error is not None:
            self.metadata["error"] = error

    def _forward(self, status: MessageStatus) -> None:
        if self.status is MessageStatus.FAILED:
            raise MessageError(ErrorCode.E_INVALID_TRANSITION, {"status": self.status.value})
        order = list(MessageStatus)
        if order.index(status) > order.index(self.status):
            self.status = status
            self.updated_at = _now()


@dataclass
class MediaMessage(Message):
    media_path: str | None = None
    media_url: str | None = None
    mime_type: str | None = None
    file_size: int | None = None
    caption: str = ""


@dataclass
class Chat:
    """A card: NEW → ACTIVE → DONE → NEW. Another move raises SessionError(E_INVALID_TRANSITION)."""

    chat_id: str
    status: KanbanStatus = KanbanStatus.NEW
    owner_id: str | None = None
    last_message_at: datetime | None = None
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)
    trace_id: str = field(default_factory=_trace)
    correlation_id: str | None = None
    assigned_at: datetime | None = None
    assigned_by: str | None = None
    completed_at: datetime | None = None
    completed_by: str | None = None
    reason: str | None = None
    """Of the last move."""

    def assign_to(self, owner_id: str, assigned_by: str | None = None) -> None:
        """NEW → ACTIVE; an ACTIVE one gets another owner."""
        self._move(KanbanStatus.ACTIVE, KanbanStatus.NEW, KanbanStatus.ACTIVE)
        self.owner_id, self.assigned_by, self.assigned_at = owner_id, assigned_by, self.updated_at

    def mark_as_done(self, completed_by: str | None = None, reason: str | None = None) -> None:
        """ACTIVE → DONE."""
        self._move(KanbanStatus.DONE, KanbanStatus.ACTIVE)
        self.completed_by, self.completed_at, self.reason = completed_by, self.updated_at, reason

    def reopen(self, reopened_by: str | None = None, reason: str | None = None) -> None:
        """DONE → NEW, without an owner; `reopened_by` is kept as who moved it."""
        self._move(KanbanStatus.NEW, KanbanStatus.DONE)
        self.owner_id = self.assigned_at = self.completed_at = self.completed_by = None
        self.assigned_by, self.reason = reopened_by, reason

    def is_taking_too_long(self, limit: timedelta | float | None = None) -> bool:
        """Whether an ACTIVE chat was assigned longer ago than `limit` (hours, or a timedelta; 2 hours)."""
        if limit is None:
            limit = MAX_ATTENDANCE
        elif not isinstance(limit, timedelta):
            limit = timedelta(hours=limit)
        since = self.assigned_at
        if self.status is not KanbanStatus.ACTIVE or since is None:
            return False
        return datetime.now(since.tzinfo) - since > limit

    def _move(self, status: KanbanStatus, *allowed: KanbanStatus) -> None:
        if self.status not in allowed:
            raise SessionError(
                ErrorCode.E_INVALID_TRANSITION, {"from": self.status.value, "to": status.value}
            )
        self.status = status
        self.updated_at = _now()


@dataclass
class SessionEvent:
    """Something that a program wants to keep of a session: an audit line."""

    session_id: str
    event_type: str
    data: dict[str, Any] = field(default_factory=dict)
    user_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    timestamp: datetime = field(default_factory=_now)
    trace_id: str = field(default_factory=_trace)
    correlation_id: str | None = None
