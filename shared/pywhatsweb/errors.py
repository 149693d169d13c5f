"""The error catalogue, and the exceptions of the library.

Every rejection and failure of the fleet carries one code. On the wire (events, control replies, dead letters)
a code is the member's name, ``E_SESSION_NOT_FOUND``; `get_error_info` keeps PyWhatsWeb 0.5's form without the
prefix, ``SESSION_NOT_FOUND``, which is also the member's value. Texts are English on the wire and Portuguese
in 0.5's functions unless asked otherwise.

    PyWhatsWebError          anything the library raises on purpose; has `code` and `details`
    ├── ContractError        a body, a field or a recipient breaks the contract; nothing was sent
    ├── RequestError         the control plane answered with a failure
    ├── SessionError         a session is not in a state that allows what was asked
    ├── MessageError         a message ended as failed, rejected, expired or cancelled
    ├── MediaError           a file cannot be taken, fetched, stored or sent
    ├── AuthenticationError  credentials were refused, or WhatsApp unlinked or banned the account
    ├── StorageError         the database or the object store failed
    ├── NotSupportedError    nothing in this fleet offers what was asked
    └── BrokerError          the broker cannot be reached or refused a publication
        ├── DeadlineError    there was no answer in time (a TimeoutError too); it may have happened, or may yet
        ├── SlowConsumerError  events came faster than they were taken, and some were dropped
        └── EventGapError    events were missed while the connection was away

`details` never holds the value of a field: only paths, limits, names of types and counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from pywhatsweb.errors_catalogue import ENTRIES, Entry

Language = Literal["en", "pt"]


class ErrorSeverity(StrEnum):
    LOW = "low"
    """The request was wrong or nothing is lost; nobody needs to be woken."""
    MEDIUM = "medium"
    """It recovers by itself or by a retry."""
    HIGH = "high"
    """A session or a message needs somebody to act."""
    CRITICAL = "critical"
    """The fleet, or an account, does not work."""


class ErrorCode(StrEnum):
    E_MALFORMED_BODY = "MALFORMED_BODY"
    E_BODY_TOO_LARGE = "BODY_TOO_LARGE"
    E_INVALID_FIELD = "INVALID_FIELD"
    E_MISSING_FIELD = "MISSING_FIELD"
    E_UNSUPPORTED_TYPE = "UNSUPPORTED_TYPE"
    E_UNKNOWN_VERB = "UNKNOWN_VERB"
    E_NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
    E_INVALID_COMMAND_ID = "INVALID_COMMAND_ID"
    E_INVALID_TIMESTAMP = "INVALID_TIMESTAMP"
    E_INVALID_CURSOR = "INVALID_CURSOR"
    E_EMPTY_TEXT = "EMPTY_TEXT"
    E_TEXT_TOO_LONG = "TEXT_TOO_LONG"
    E_CAPTION_TOO_LONG = "CAPTION_TOO_LONG"
    E_INVALID_POLL = "INVALID_POLL"
    E_INVALID_INTERACTIVE = "INVALID_INTERACTIVE"
    E_INVALID_TEMPLATE = "INVALID_TEMPLATE"
    E_TEMPLATE_NOT_FOUND = "TEMPLATE_NOT_FOUND"
    E_TEMPLATE_LANGUAGE = "TEMPLATE_LANGUAGE"
    E_TEMPLATE_VARIABLE = "TEMPLATE_VARIABLE"
    E_INVALID_PHONE = "INVALID_PHONE"
    E_INVALID_RECIPIENT = "INVALID_RECIPIENT"
    E_NOT_ON_WHATSAPP = "NOT_ON_WHATSAPP"
    E_CONTACT_OPTED_OUT = "CONTACT_OPTED_OUT"
    E_DUPLICATE_RECIPIENT = "DUPLICATE_RECIPIENT"
    E_CONSENT_MISSING = "CONSENT_MISSING"
    E_EXPIRED = "EXPIRED"
    E_SEND_AT_PAST = "SEND_AT_PAST"
    E_SEND_AT_TOO_FAR = "SEND_AT_TOO_FAR"
    E_DUPLICATE_ID = "DUPLICATE_ID"
    E_CANCEL_TOO_LATE = "CANCEL_TOO_LATE"
    E_CANCELLED = "CANCELLED"
    E_COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
    E_MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    E_EDIT_TOO_LATE = "EDIT_TOO_LATE"
    E_DELETE_TOO_LATE = "DELETE_TOO_LATE"
    E_QUEUE_FULL = "QUEUE_FULL"
    E_QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    E_RATE_LIMITED = "RATE_LIMITED"
    E_SESSION_LIMIT = "SESSION_LIMIT"
    E_AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    E_FORBIDDEN = "FORBIDDEN"
    E_INVALID_TENANT_ID = "INVALID_TENANT_ID"
    E_TENANT_NOT_FOUND = "TENANT_NOT_FOUND"
    E_TENANT_MISMATCH = "TENANT_MISMATCH"
    E_TENANT_SUSPENDED = "TENANT_SUSPENDED"
    E_INVALID_SESSION_ID = "INVALID_SESSION_ID"
    E_SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    E_SESSION_ALREADY_EXISTS = "SESSION_ALREADY_EXISTS"
    E_INBOX_NOT_FOUND = "INBOX_NOT_FOUND"
    E_INBOX_COMMAND = "INBOX_COMMAND"
    E_SESSION_NOT_READY = "SESSION_NOT_READY"
    E_SESSION_STOPPED = "SESSION_STOPPED"
    E_SESSION_LOGGED_OUT = "SESSION_LOGGED_OUT"
    E_SESSION_REPLACED = "SESSION_REPLACED"
    E_SESSION_FAILED = "SESSION_FAILED"
    E_PAIRING_TIMEOUT = "PAIRING_TIMEOUT"
    E_PAIRING_REFUSED = "PAIRING_REFUSED"
    E_QR_NOT_AVAILABLE = "QR_NOT_AVAILABLE"
    E_PROXY_FAILED = "PROXY_FAILED"
    E_ACK_TIMEOUT = "ACK_TIMEOUT"
    E_CONNECTION_LOST = "CONNECTION_LOST"
    E_WHATSAPP_REJECTED = "WHATSAPP_REJECTED"
    E_WHATSAPP_REACHOUT_LIMITED = "WHATSAPP_REACHOUT_LIMITED"
    E_WHATSAPP_STALE_SESSION = "WHATSAPP_STALE_SESSION"
    E_WHATSAPP_ADDRESSING = "WHATSAPP_ADDRESSING"
    E_WHATSAPP_RATE_LIMITED = "WHATSAPP_RATE_LIMITED"
    E_WHATSAPP_BANNED = "WHATSAPP_BANNED"
    E_WHATSAPP_2FA_REQUIRED = "WHATSAPP_2FA_REQUIRED"
    E_WHATSAPP_UNAVAILABLE = "WHATSAPP_UNAVAILABLE"
    E_WHATSAPP_MULTIDEVICE_MISMATCH = "WHATSAPP_MULTIDEVICE_MISMATCH"
    E_WHATSAPP_BAD_SESSION = "WHATSAPP_BAD_SESSION"
    E_UNDECRYPTABLE = "UNDECRYPTABLE"
    E_CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    E_MEDIA_SOURCE = "MEDIA_SOURCE"
    E_MEDIA_TOO_LARGE = "MEDIA_TOO_LARGE"
    E_MEDIA_NOT_FOUND = "MEDIA_NOT_FOUND"
    E_MEDIA_TYPE_UNSUPPORTED = "MEDIA_TYPE_UNSUPPORTED"
    E_MEDIA_TYPE_MISMATCH = "MEDIA_TYPE_MISMATCH"
    E_MEDIA_CORRUPT = "MEDIA_CORRUPT"
    E_MEDIA_LINK_REFUSED = "MEDIA_LINK_REFUSED"
    E_MEDIA_DOWNLOAD_FAILED = "MEDIA_DOWNLOAD_FAILED"
    E_MEDIA_UPLOAD_FAILED = "MEDIA_UPLOAD_FAILED"
    E_MEDIA_EXPIRED = "MEDIA_EXPIRED"
    E_MEDIA_DECRYPT_FAILED = "MEDIA_DECRYPT_FAILED"
    E_MEDIA_EMPTY = "MEDIA_EMPTY"
    E_MEDIA_BOMB = "MEDIA_BOMB"
    E_MEDIA_TOO_SLOW = "MEDIA_TOO_SLOW"
    E_MEDIA_UPLOAD_INCOMPLETE = "MEDIA_UPLOAD_INCOMPLETE"
    E_MEDIA_CONVERTER_MISSING = "MEDIA_CONVERTER_MISSING"
    E_MEDIA_STORE_UNAVAILABLE = "MEDIA_STORE_UNAVAILABLE"
    E_CHAT_NOT_FOUND = "CHAT_NOT_FOUND"
    E_CONTACT_NOT_FOUND = "CONTACT_NOT_FOUND"
    E_GROUP_NOT_FOUND = "GROUP_NOT_FOUND"
    E_NOT_GROUP_ADMIN = "NOT_GROUP_ADMIN"
    E_LABEL_NOT_FOUND = "LABEL_NOT_FOUND"
    E_CHANNEL_NOT_FOUND = "CHANNEL_NOT_FOUND"
    E_NOT_CHANNEL_ADMIN = "NOT_CHANNEL_ADMIN"
    E_EMPTY_AUDIENCE = "EMPTY_AUDIENCE"
    E_INVALID_TRANSITION = "INVALID_TRANSITION"
    E_CONFLICT = "CONFLICT"
    E_DEADLETTER_NOT_FOUND = "DEADLETTER_NOT_FOUND"
    E_POISON = "POISON"
    E_ERASED = "ERASED"
    E_ERASURE_NOT_FOUND = "ERASURE_NOT_FOUND"
    E_EXPORT_NOT_FOUND = "EXPORT_NOT_FOUND"
    E_EXPORT_NOT_READY = "EXPORT_NOT_READY"
    E_BACKUP_KEY = "BACKUP_KEY"
    E_BACKUP_DAMAGED = "BACKUP_DAMAGED"
    E_RESTORE_NOT_EMPTY = "RESTORE_NOT_EMPTY"
    E_USER_NOT_FOUND = "USER_NOT_FOUND"
    E_WEBHOOK_NOT_FOUND = "WEBHOOK_NOT_FOUND"
    E_WEBHOOK_FAILED = "WEBHOOK_FAILED"
    E_SIDECAR_PROTOCOL = "SIDECAR_PROTOCOL"
    E_SIDECAR_CRASHED = "SIDECAR_CRASHED"
    E_ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    E_ENGINE_ERROR = "ENGINE_ERROR"
    E_NOT_OWNER = "NOT_OWNER"
    E_BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"
    E_STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    E_STORAGE_CORRUPT = "STORAGE_CORRUPT"
    E_CREDENTIALS_UNREADABLE = "CREDENTIALS_UNREADABLE"
    E_SLOW_CONSUMER = "SLOW_CONSUMER"
    E_EVENT_GAP = "EVENT_GAP"
    E_CONSUMER_NOT_FOUND = "CONSUMER_NOT_FOUND"
    E_TIMEOUT = "TIMEOUT"
    E_OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    E_PHONE_SILENT = "PHONE_SILENT"
    E_SHUTTING_DOWN = "SHUTTING_DOWN"
    E_CONFIG_INVALID = "CONFIG_INVALID"
    E_INTERNAL = "INTERNAL"

    @property
    def wire(self) -> str:
        """The code as it stands in events and replies: ``E_…``."""
        return self.name

    @classmethod
    def from_wire(cls, code: str) -> ErrorCode:
        """The member for ``E_X`` or ``X``; E_INTERNAL for a code that this version does not know."""
        return cls.__members__.get(code if code.startswith("E_") else "E_" + code, cls.E_INTERNAL)


_ENTRIES: Mapping[ErrorCode, Entry] = {ErrorCode[entry.code]: entry for entry in ENTRIES}


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error on the wire: in control replies, `status` and `session` events, dead letters."""

    code: str
    message: str = ""
    http_status: int = 500
    severity: str = "medium"
    retryable: bool = False
    action: str = ""
    details: dict[str, Any] = {}


class PyWhatsWebError(Exception):
    """`code` is the catalogue's; `details` holds no personal data and no field's value."""

    def __init__(
        self, code: ErrorCode = ErrorCode.E_INTERNAL, details: Mapping[str, Any] | None = None
    ) -> None:
        self.code = code
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(code, self.details)

    def __str__(self) -> str:
        extra = f" {self.details}" if self.details else ""
        return f"{self.code.wire}: {_ENTRIES[self.code].message}{extra}"

    @property
    def body(self) -> ErrorBody:
        return error_struct(self.code, self.details)


class ContractError(PyWhatsWebError):
    """A body, a field or a recipient breaks the contract."""


class RequestError(PyWhatsWebError):
    """The control plane answered ``{"ok": false}``."""


class SessionError(PyWhatsWebError):
    """A session is not in a state that allows what was asked."""


class MessageError(PyWhatsWebError):
    """A message ended otherwise than sent."""


class MediaError(PyWhatsWebError):
    """A file cannot be taken, fetched, stored or sent."""


class AuthenticationError(PyWhatsWebError):
    """Credentials were refused, or WhatsApp unlinked or banned the account."""


class StorageError(PyWhatsWebError):
    """The database or the object store failed."""


class NotSupportedError(PyWhatsWebError):
    """Nothing in this fleet offers what was asked (E_NOT_IMPLEMENTED)."""


class BrokerError(PyWhatsWebError):
    """The broker cannot be reached or refused a publication."""


class DeadlineError(BrokerError, TimeoutError):
    """There was no answer in time: it may have happened, or may yet."""


class SlowConsumerError(BrokerError):
    """Events came faster than they were taken, and some were dropped."""


class EventGapError(BrokerError):
    """Events were missed; `details` tells after which stream sequence."""


def http_status(code: ErrorCode) -> int:
    return _ENTRIES[code].http_status


def is_retryable(code: ErrorCode) -> bool:
    return _ENTRIES[code].retryable


def error_struct(
    code: ErrorCode, details: Mapping[str, Any] | None = None, language: Language = "en"
) -> ErrorBody:
    """The wire's error as a Struct, for events and replies."""
    entry = _ENTRIES[code]
    english = language == "en"
    return ErrorBody(
        code=entry.code,
        message=entry.message if english else entry.message_pt,
        http_status=entry.http_status,
        severity=entry.severity,
        retryable=entry.retryable,
        action=entry.action if english else entry.action_pt,
        details=dict(details or {}),
    )


def error_body(
    code: ErrorCode, details: Mapping[str, Any] | None = None, language: Language = "en"
) -> dict[str, Any]:
    """``{code: "E_…", message, http_status, severity, retryable, action, details}``."""
    return msgspec.structs.asdict(error_struct(code, details, language))


def get_error_info(code: ErrorCode, language: Language = "pt") -> dict[str, Any]:
    """PyWhatsWeb 0.5's view: ``{error_code: "SESSION_NOT_FOUND", http_status, message, severity, …}``."""
    entry = _ENTRIES[code]
    return {
        "error_code": code.value,
        "http_status": entry.http_status,
        "message": entry.message if language == "en" else entry.message_pt,
        "severity": entry.severity,
        "retryable": entry.retryable,
        "action": entry.action if language == "en" else entry.action_pt,
    }


def create_error_response(
    code: ErrorCode, details: Mapping[str, Any] | None = None, language: Language = "pt"
) -> dict[str, Any]:
    """``{"success": False, "error": {… get_error_info …, "details": {…}}}`` for an HTTP view."""
    return {"success": False, "error": {**get_error_info(code, language), "details": dict(details or {})}}


def get_retryable_errors() -> list[ErrorCode]:
    """Codes whose request may succeed later without a change."""
    return [code for code, entry in _ENTRIES.items() if entry.retryable]


def get_errors_by_severity(severity: ErrorSeverity) -> list[ErrorCode]:
    return [code for code, entry in _ENTRIES.items() if entry.severity == severity]
