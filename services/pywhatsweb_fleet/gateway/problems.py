"""Errors of the catalogue as RFC 9457 problem details (``application/problem+json``)."""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb.errors import ErrorBody, ErrorCode, PyWhatsWebError, error_struct
from pywhatsweb_runtime.bus import (
    MESSAGE_TOO_LARGE,
    QUEUE_FULL,
    STREAM_NOT_FOUND,
    ApiError,
    BrokerUnavailable,
)

CONTENT_TYPE = "application/problem+json"
_STREAM_FULL = frozenset((QUEUE_FULL, 10047, 10023))
"""Also: no storage left, and the server's own limits."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, with the catalogue's fields beside its own."""

    type: str
    """``urn:pywhatsweb:error:<code>``"""
    title: str
    status: int
    detail: str
    code: str
    severity: str
    retryable: bool
    action: str
    details: dict[str, Any] = {}
    instance: str | None = None
    """The request's id."""


class GatewayError(PyWhatsWebError):
    """A request is refused at the gateway's own door."""


def from_body(body: ErrorBody, request_id: str | None = None) -> Problem:
    return Problem(
        type=f"urn:pywhatsweb:error:{body.code}",
        title=body.message,
        status=body.http_status if 400 <= body.http_status <= 599 else 500,
        detail=body.action,
        code=body.code,
        severity=body.severity,
        retryable=body.retryable,
        action=body.action,
        details=body.details,
        instance=None if request_id is None else f"urn:pywhatsweb:request:{request_id}",
    )


def of(error: Exception) -> ErrorBody:
    """What is told of an error; of one that nobody expected, only that it happened."""
    if isinstance(error, PyWhatsWebError):
        return error.body
    if isinstance(error, BrokerUnavailable):
        return error_struct(ErrorCode.E_BROKER_UNAVAILABLE)
    if isinstance(error, TimeoutError):
        return error_struct(ErrorCode.E_TIMEOUT)
    if isinstance(error, ApiError):
        if error.code in _STREAM_FULL:
            return error_struct(ErrorCode.E_QUEUE_FULL)
        if error.code == MESSAGE_TOO_LARGE:
            return error_struct(ErrorCode.E_BODY_TOO_LARGE)
        if error.code == STREAM_NOT_FOUND:
            return error_struct(ErrorCode.E_BROKER_UNAVAILABLE)
    return error_struct(ErrorCode.E_INTERNAL)
