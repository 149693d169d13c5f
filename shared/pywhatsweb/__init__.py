"""PyWhatsWeb: a client for a multi-tenant WhatsApp gateway whose front door is a message broker.

`connect` gives the async client (`pywhatsweb.client`); `WhatsWebManager` and `Session` are PyWhatsWeb 0.5's interface
on top of it. Names are imported when they are first used: to import this package alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pywhatsweb.version import __version__ as __version__

if TYPE_CHECKING:
    from pywhatsweb.client import (
        DurableStream as DurableStream,
    )
    from pywhatsweb.client import (
        EventStream as EventStream,
    )
    from pywhatsweb.client import (
        FleetClient as FleetClient,
    )
    from pywhatsweb.client import (
        Gap as Gap,
    )
    from pywhatsweb.client import (
        Handle as Handle,
    )
    from pywhatsweb.client import (
        Outcome as Outcome,
    )
    from pywhatsweb.client import (
        SessionClient as SessionClient,
    )
    from pywhatsweb.client import (
        connect as connect,
    )
    from pywhatsweb.client import (
        connect_local as connect_local,
    )
    from pywhatsweb.errors import (
        AuthenticationError as AuthenticationError,
    )
    from pywhatsweb.errors import (
        BrokerError as BrokerError,
    )
    from pywhatsweb.errors import (
        ContractError as ContractError,
    )
    from pywhatsweb.errors import (
        DeadlineError as DeadlineError,
    )
    from pywhatsweb.errors import (
        ErrorCode as ErrorCode,
    )
    from pywhatsweb.errors import (
        ErrorSeverity as ErrorSeverity,
    )
    from pywhatsweb.errors import (
        EventGapError as EventGapError,
    )
    from pywhatsweb.errors import (
        MediaError as MediaError,
    )
    from pywhatsweb.errors import (
        MessageError as MessageError,
    )
    from pywhatsweb.errors import (
        NotSupportedError as NotSupportedError,
    )
    from pywhatsweb.errors import (
        PyWhatsWebError as PyWhatsWebError,
    )
    from pywhatsweb.errors import (
        RequestError as RequestError,
    )
    from pywhatsweb.errors import (
        SessionError as SessionError,
    )
    from pywhatsweb.errors import (
        SlowConsumerError as SlowConsumerError,
    )
    from pywhatsweb.errors import (
        StorageError as StorageError,
    )
    from pywhatsweb.errors import (
        create_error_response as create_error_response,
    )
    from pywhatsweb.errors import (
        get_error_info as get_error_info,
    )
    from pywhatsweb.errors import (
        get_errors_by_severity as get_errors_by_severity,
    )
    from pywhatsweb.errors import (
        get_retryable_errors as get_retryable_errors,
    )
    from pywhatsweb.legacy.constants import (
        CONNECTION_TIMEOUT as CONNECTION_TIMEOUT,
    )
    from pywhatsweb.legacy.constants import (
        DELIVERY_TIMEOUT as DELIVERY_TIMEOUT,
    )
    from pywhatsweb.legacy.constants import (
        MAX_MEDIA_SIZE as MAX_MEDIA_SIZE,
    )
    from pywhatsweb.legacy.constants import (
        MAX_MESSAGES_PER_MINUTE as MAX_MESSAGES_PER_MINUTE,
    )
    from pywhatsweb.legacy.constants import (
        MAX_REQUESTS_PER_MINUTE as MAX_REQUESTS_PER_MINUTE,
    )
    from pywhatsweb.legacy.constants import (
        MAX_RETRIES as MAX_RETRIES,
    )
    from pywhatsweb.legacy.constants import (
        MAX_SESSIONS_PER_IP as MAX_SESSIONS_PER_IP,
    )
    from pywhatsweb.legacy.constants import (
        MEDIA_CONFIG as MEDIA_CONFIG,
    )
    from pywhatsweb.legacy.constants import (
        MESSAGE_TIMEOUT as MESSAGE_TIMEOUT,
    )
    from pywhatsweb.legacy.constants import (
        QR_EXPIRATION as QR_EXPIRATION,
    )
    from pywhatsweb.legacy.constants import (
        RETRY_DELAY as RETRY_DELAY,
    )
    from pywhatsweb.legacy.constants import (
        SUPPORTED_IMAGE_TYPES as SUPPORTED_IMAGE_TYPES,
    )
    from pywhatsweb.legacy.enums import (
        EventType as EventType,
    )
    from pywhatsweb.legacy.enums import (
        KanbanStatus as KanbanStatus,
    )
    from pywhatsweb.legacy.enums import (
        MessageStatus as MessageStatus,
    )
    from pywhatsweb.legacy.enums import (
        MessageType as MessageType,
    )
    from pywhatsweb.legacy.enums import (
        SessionStatus as SessionStatus,
    )
    from pywhatsweb.legacy.exceptions import (
        APIError as APIError,
    )
    from pywhatsweb.legacy.exceptions import (
        ConnectionError as ConnectionError,  # noqa: A004 - 0.5's name
    )
    from pywhatsweb.legacy.exceptions import (
        MediaTooLargeError as MediaTooLargeError,
    )
    from pywhatsweb.legacy.exceptions import (
        WebSocketError as WebSocketError,
    )
    from pywhatsweb.legacy.exceptions import (
        WhatsAppError as WhatsAppError,
    )
    from pywhatsweb.legacy.manager import (
        WhatsWebManager as WhatsWebManager,
    )
    from pywhatsweb.legacy.models import (
        Chat as Chat,
    )
    from pywhatsweb.legacy.models import (
        Contact as Contact,
    )
    from pywhatsweb.legacy.models import (
        MediaMessage as MediaMessage,
    )
    from pywhatsweb.legacy.models import (
        Message as Message,
    )
    from pywhatsweb.legacy.models import (
        SessionEvent as SessionEvent,
    )
    from pywhatsweb.legacy.payloads import (
        EventPayload as EventPayload,
    )
    from pywhatsweb.legacy.payloads import (
        create_error_event as create_error_event,
    )
    from pywhatsweb.legacy.payloads import (
        create_message_event as create_message_event,
    )
    from pywhatsweb.legacy.payloads import (
        create_qr_event as create_qr_event,
    )
    from pywhatsweb.legacy.payloads import (
        create_ready_event as create_ready_event,
    )
    from pywhatsweb.legacy.session import (
        Session as Session,
    )
    from pywhatsweb.legacy.storage import (
        BaseStore as BaseStore,
    )
    from pywhatsweb.legacy.storage import (
        DjangoORMStore as DjangoORMStore,
    )
    from pywhatsweb.legacy.storage import (
        FileSystemStore as FileSystemStore,
    )

_NAMES: dict[str, str] = {
    name: module
    for module, names in {
        "pywhatsweb.client": (
            "DurableStream",
            "EventStream",
            "FleetClient",
            "Gap",
            "Handle",
            "Outcome",
            "SessionClient",
            "connect",
            "connect_local",
        ),
        "pywhatsweb.legacy.manager": ("WhatsWebManager",),
        "pywhatsweb.legacy.session": ("Session",),
        "pywhatsweb.legacy.storage": (
            "BaseStore",
            "DjangoORMStore",
            "FileSystemStore",
        ),
        "pywhatsweb.legacy.enums": (
            "EventType",
            "KanbanStatus",
            "MessageStatus",
            "MessageType",
            "SessionStatus",
        ),
        "pywhatsweb.legacy.models": (
            "Chat",
            "Contact",
            "MediaMessage",
            "Message",
            "SessionEvent",
        ),
        "pywhatsweb.legacy.payloads": (
            "EventPayload",
            "create_error_event",
            "create_message_event",
            "create_qr_event",
            "create_ready_event",
        ),
        "pywhatsweb.legacy.exceptions": (
            "APIError",
            "ConnectionError",
            "MediaTooLargeError",
            "WebSocketError",
            "WhatsAppError",
        ),
        "pywhatsweb.legacy.constants": (
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
        ),
        "pywhatsweb.errors": (
            "AuthenticationError",
            "BrokerError",
            "ContractError",
            "DeadlineError",
            "ErrorCode",
            "ErrorSeverity",
            "EventGapError",
            "MediaError",
            "MessageError",
            "NotSupportedError",
            "PyWhatsWebError",
            "RequestError",
            "SessionError",
            "SlowConsumerError",
            "StorageError",
            "create_error_response",
            "get_error_info",
            "get_errors_by_severity",
            "get_retryable_errors",
        ),
    }.items()
    for name in names
}


def __getattr__(name: str) -> object:
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
