"""0.5's exceptions. Those that the fleet has too are the same classes, so either import catches both.

WhatsAppError            = errors.PyWhatsWebError, the base of all
├── SessionError, MessageError, StorageError, AuthenticationError     of `errors`
├── MediaError           of `errors`
│   └── MediaTooLargeError
├── APIError             = errors.RequestError: the control plane refused
└── errors.BrokerError
    └── ConnectionError  the fleet cannot be reached (a builtin ConnectionError too)
        └── WebSocketError   kept for `except` clauses: there is no WebSocket any more
"""

from __future__ import annotations

import builtins

from pywhatsweb.errors import (
    AuthenticationError,
    BrokerError,
    MediaError,
    MessageError,
    NotSupportedError,
    PyWhatsWebError,
    RequestError,
    SessionError,
    StorageError,
)

__all__ = [
    "APIError",
    "AuthenticationError",
    "ConnectionError",
    "MediaError",
    "MediaTooLargeError",
    "MessageError",
    "NotSupportedError",
    "SessionError",
    "StorageError",
    "WebSocketError",
    "WhatsAppError",
]

WhatsAppError = PyWhatsWebError
APIError = RequestError


class ConnectionError(BrokerError, builtins.ConnectionError):  # noqa: A001 - 0.5's name
    """The fleet cannot be reached."""


class WebSocketError(ConnectionError):
    """Kept for programs that catch it; `ConnectionError` is what is raised."""


class MediaTooLargeError(MediaError):
    """A file is larger than can be sent."""
