"""0.5's event factories: payloads in the form that handlers of `EventPayload` took."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pywhatsweb.legacy.constants import QR_EXPIRATION
from pywhatsweb.legacy.enums import EventType


@dataclass
class EventPayload:
    event: EventType
    session_id: str
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    trace_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    data: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "event": self.event.value,
            "session_id": self.session_id,
            "timestamp": self.timestamp.isoformat(),
            "trace_id": self.trace_id,
            "data": self.data,
        }


def create_qr_event(session_id: str, qr_data: str, expires_in: int = QR_EXPIRATION) -> EventPayload:
    return EventPayload(EventType.QR, session_id, data={"qr": qr_data, "expires_in": expires_in})


def create_message_event(session_id: str, message_data: Mapping[str, Any]) -> EventPayload:
    return EventPayload(EventType.MESSAGE, session_id, data=dict(message_data))


def create_ready_event(
    session_id: str, phone_number: str | None = None, device_info: Mapping[str, Any] | None = None
) -> EventPayload:
    data = {"phone_number": phone_number, "device_info": dict(device_info or {})}
    return EventPayload(EventType.READY, session_id, data=data)


def create_error_event(session_id: str, error_code: str, error_message: str) -> EventPayload:
    return EventPayload(
        EventType.ERROR, session_id, data={"error_code": error_code, "error_message": error_message}
    )
