"""PyWhatsWeb: a client for a multi-tenant WhatsApp gateway whose front door is a message broker.

`connect` gives the async client (`pywhatsweb.client`); `WhatsWebManager` and `Session` are PyWhatsWeb 0.5's interface
on top of it. Names are imported when they are first used: to import this package alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pywhatsweb.version import __version__

if TYPE_CHECKING:
    from pywhatsweb.client import (
        DurableStream,
        EventStream,
        FleetClient,
        Gap,
        Handle,
        Outcome,
        SessionClient,
        connect,
        connect_local,
    )
    from pywhatsweb.errors import (
        AuthenticationError,
        BrokerError,
        ContractError,
        DeadlineError,
        ErrorCode,
        ErrorSeverity,
        EventGapError,
        MediaError,
        MessageError,
        NotSupportedError,
        PyWhatsWebError,
        RequestError,
        SessionError,
        SlowConsumerError,
        StorageError,
        create_error_response,
        get_error_info,
        get_errors_by_severity,
        get_retryable_errors,
    )
    from pywhatsweb.legacy.about import __default_config__, __dependencies__, __python_support__
    from pywhatsweb.legacy.constants import (
        CONNECTION_TIMEOUT,
        DELIVERY_TIMEOUT,
        MAX_MEDIA_SIZE,
        MAX_MESSAGES_PER_MINUTE,
        MAX_REQUESTS_PER_MINUTE,
        MAX_RETRIES,
        MAX_SESSIONS_PER_IP,
        MEDIA_CONFIG,
        MESSAGE_TIMEOUT,
        QR_EXPIRATION,
        RETRY_DELAY,
        SUPPORTED_IMAGE_TYPES,
    )
    from pywhatsweb.legacy.enums import EventType, KanbanStatus, MessageStatus, MessageType, SessionStatus
    from pywhatsweb.legacy.exceptions import (
        APIError,
        ConnectionError,  # noqa: A004 - 0.5 has it
        MediaTooLargeError,
        WebSocketError,
        WhatsAppError,
    )
    from pywhatsweb.legacy.manager import WhatsWebManager
    from pywhatsweb.legacy.models import Chat, Contact, MediaMessage, Message, SessionEvent
    from pywhatsweb.legacy.payloads import (
        EventPayload,
        create_error_event,
        create_message_event,
        create_qr_event,
        create_ready_event,
    )
    from pywhatsweb.legacy.session import Session
    from pywhatsweb.legacy.stores import (
        BaseStore,
        DjangoORMStore,
        FileSystemStore,
        PostgreSQLStore,
        RedisStore,
    )

__all__ = [
    "CONNECTION_TIMEOUT",
    "DELIVERY_TIMEOUT",
    "MAX_MEDIA_SIZE",
    "MAX_MESSAGES_PER_MINUTE",
    "MAX_REQUESTS_PER_MINUTE",
    "MAX_RETRIES",
    "MAX_SESSIONS_PER_IP",
    "MEDIA_CONFIG",
    "MESSAGE_TIMEOUT",
    "QR_EXPIRATION",
    "RETRY_DELAY",
    "SUPPORTED_IMAGE_TYPES",
    "APIError",
    "AuthenticationError",
    "BaseStore",
    "BrokerError",
    "Chat",
    "ConnectionError",
    "Contact",
    "ContractError",
    "DeadlineError",
    "DjangoORMStore",
    "DurableStream",
    "ErrorCode",
    "ErrorSeverity",
    "EventGapError",
    "EventPayload",
    "EventStream",
    "EventType",
    "FileSystemStore",
    "FleetClient",
    "Gap",
    "Handle",
    "KanbanStatus",
    "MediaError",
    "MediaMessage",
    "MediaTooLargeError",
    "Message",
    "MessageError",
    "MessageStatus",
    "MessageType",
    "NotSupportedError",
    "Outcome",
    "PostgreSQLStore",
    "PyWhatsWebError",
    "RedisStore",
    "RequestError",
    "Session",
    "SessionClient",
    "SessionError",
    "SessionEvent",
    "SessionStatus",
    "SlowConsumerError",
    "StorageError",
    "WebSocketError",
    "WhatsAppError",
    "WhatsWebManager",
    "__default_config__",
    "__dependencies__",
    "__python_support__",
    "__version__",
    "connect",
    "connect_local",
    "create_error_event",
    "create_error_response",
    "create_message_event",
    "create_qr_event",
    "create_ready_event",
    "get_error_info",
    "get_errors_by_severity",
    "get_retryable_errors",
]

_HOMES: dict[str, str] = {
    "pywhatsweb.client": (
        "DurableStream EventStream FleetClient Gap Handle Outcome SessionClient connect connect_local"
    ),
    "pywhatsweb.errors": (
        "AuthenticationError BrokerError ContractError DeadlineError ErrorCode ErrorSeverity "
        "EventGapError MediaError MessageError NotSupportedError PyWhatsWebError RequestError "
        "SessionError SlowConsumerError StorageError create_error_response get_error_info "
        "get_errors_by_severity get_retryable_errors"
    ),
    "pywhatsweb.legacy.about": ("__default_config__ __dependencies__ __python_support__"),
    "pywhatsweb.legacy.constants": (
        "CONNECTION_TIMEOUT DELIVERY_TIMEOUT MAX_MEDIA_SIZE MAX_MESSAGES_PER_MINUTE "
        "MAX_REQUESTS_PER_MINUTE MAX_RETRIES MAX_SESSIONS_PER_IP MEDIA_CONFIG MESSAGE_TIMEOUT "
        "QR_EXPIRATION RETRY_DELAY SUPPORTED_IMAGE_TYPES"
    ),
    "pywhatsweb.legacy.enums": ("EventType KanbanStatus MessageStatus MessageType SessionStatus"),
    "pywhatsweb.legacy.exceptions": (
        "APIError ConnectionError MediaTooLargeError WebSocketError WhatsAppError"
    ),
    "pywhatsweb.legacy.manager": ("WhatsWebManager"),
    "pywhatsweb.legacy.models": ("Chat Contact MediaMessage Message SessionEvent"),
    "pywhatsweb.legacy.payloads": (
        "EventPayload create_error_event create_message_event create_qr_event create_ready_event"
    ),
    "pywhatsweb.legacy.session": ("Session"),
    "pywhatsweb.legacy.stores": ("BaseStore DjangoORMStore FileSystemStore PostgreSQLStore RedisStore"),
}
_NAMES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
