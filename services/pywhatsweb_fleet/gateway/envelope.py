"""Around every request: ids, security headers, CORS, bounds of size and time, and a last resort for errors."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway import problems
from pywhatsweb_fleet.gateway.asgi import App, Receive, Scope, Send
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.settings import GatewaySettings
from pywhatsweb_runtime.metrics import Metrics

log = structlog.get_logger(__name__)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch
_MAX_CORRELATION: Final = 128
STREAMS: Final = frozenset(("/v1/events", "/v1/ws"))
"""Paths whose answers have no end, and so no time-out."""
FILES: Final = "/v1/media"
"""Bodies of files are larger, and take longer: `GatewaySettings.max_file_bytes` and `file_timeout_s`."""
EXPORTS: Final = "/v1/exports"
cloud_upload: Final = re.compile(r"/v\d{1,3}\.\d{1,2}/([a-z0-9][a-z0-9_-]{0,62})/media").fullmatch
"""The Cloud API's way to upload, and the session in it."""
_METHODS: Final = "GET, POST, PUT, DELETE, OPTIONS"
_ALLOWED_HEADERS: Final = (
    "Authorization, Content-Disposition, Content-Type, Idempotency-Key, Last-Event-ID, Range, X-Api-Key, "
    "X-Correlation-Id"
)
_EXPOSED_HEADERS: Final = "X-Request-Id, X-Correlation-Id, X-Tenant-Id, X-Session-Id, Retry-After"
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class Ids(msgspec.Struct, frozen=True):
    """Of a request."""

    request: str
    correlation: str | None


def ids_of(scope: Scope) -> Ids:
    """What the envelope found or made."""
    found: Ids = scope["state"]["pww"]
    return found


def headers_of(scope: Scope) -> dict[str, str]:
    """Names in lower case; of a header that came twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "-"


def takes_file(scope: Scope) -> bool:
    path = scope["path"]
    return bool(scope["method"] == "POST" and (path == FILES or cloud_upload(path)))


def gives_file(scope: Scope) -> bool:
    return bool(scope["method"] == "GET" and scope["path"].startswith((FILES + "/", EXPORTS + "/")))


async def send_problem(send: Send, error: Exception, request_id: str) -> None:
    """A whole answer."""
    body = problems.from_body(problems.of(error), request_id)
    raw = msgspec.json.encode(body)
    headers = [
        (b"content-type", problems.CONTENT_TYPE.encode()),
        (b"content-length", str(len(raw)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in problem_headers(body).items()),
    ]
    await send({"type": "http.response.start", "status": body.status, "headers": headers})
    await send({"type": "http.response.body", "body": raw, "more_body": False})


def problem_headers(problem: problems.Problem) -> dict[str, str]:
    found = {}
    retry = problem.details.get("retry_after_ms")
    if isinstance(retry, int):
        found["Retry-After"] = str(max(1, -(-retry // 1000)))
    if problem.status == 401:
        found["WWW-Authenticate"] = 'Bearer realm="pywhatsweb"'
    return found


class Envelope:
    """The outermost ASGI application."""

    def __init__(self, inner: App, settings: GatewaySettings, metrics: Metrics) -> None:
        self._inner = inner
        self._settings = settings
        self._origins = settings.allowed_origins
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope.setdefault("state", {})["pww"] = self._ids(headers_of(scope))[0]
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        headers = headers_of(scope)
        ids, problem = self._ids(headers)
        structlog.contextvars.bind_contextvars(request_id=ids.request, correlation_id=ids.correlation)
        scope.setdefault("state", {})["pww"] = ids
        out = _Out(send, ids, self._cors(headers))
        try:
            if problem is not None:
                raise problem
            if scope["method"] == "OPTIONS":
                await self._preflight(out)
                return
            bounds = self._bounds(scope)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > bounds.body_bytes:
                raise GatewayError(ErrorCode.E_BODY_TOO_LARGE, {"limit": bounds.body_bytes})
            bounded = _In(receive, bounds)
            async with asyncio.timeout(bounds.request_s):
                await self._inner(scope, bounded, out)
        except Exception as error:
            if problems.of(error).code == ErrorCode.E_INTERNAL.wire:
                log.exception("a request failed", request_id=ids.request)
            if not out.status:
                await send_problem(out, error, ids.request)
        finally:
            self._metrics.http_requests.labels(scope["method"], str(out.status or 499)).inc()
            if scope["path"] not in STREAMS:
                self._metrics.http_latency.observe(time.perf_counter() - began)

    def _bounds(self, scope: Scope) -> _Bounds:
        settings = self._settings
        if takes_file(scope) or gives_file(scope):
            return _Bounds(settings.max_file_bytes, settings.file_timeout_s, settings.file_timeout_s)
        request_s = None if scope["path"] in STREAMS else settings.request_timeout_s
        return _Bounds(settings.max_body_bytes, settings.body_timeout_s, request_s)

    def _ids(self, headers: Mapping[str, str]) -> tuple[Ids, Exception | None]:
        request = headers.get("x-request-id", "")
        request_id = request if _REQUEST_ID(request) else "req_" + secrets.token_hex(12)
        correlation = headers.get("x-correlation-id") or None
        if correlation is not None and not (
            len(correlation) <= _MAX_CORRELATION and correlation.isascii() and correlation.isprintable()
        ):
            error = GatewayError(
                ErrorCode.E_INVALID_FIELD, {"path": "X-Correlation-Id", "limit": _MAX_CORRELATION}
            )
            return Ids(request_id, None), error
        return Ids(request_id, correlation), None

    def _cors(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        origin = headers.get("origin")
        if origin is None or origin not in self._origins:
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED_HEADERS.encode()),
            (b"vary", b"Origin"),
        ]

    @staticmethod
    async def _preflight(out: _Out) -> None:
        headers = [(b"allow", _METHODS.encode()), (b"content-length", b"0")]
        if out.cors:
            headers += [
                (b"access-control-allow-methods", _METHODS.encode()),
                (b"access-control-allow-headers", _ALLOWED_HEADERS.encode()),
                (b"access-control-max-age", b"600"),
            ]
        await out({"type": "http.response.start", "status": 204, "headers": headers})
        await out({"type": "http.response.body", "body": b"", "more_body": False})


class _Bounds(NamedTuple):
    body_bytes: int
    body_s: float
    request_s: float | None


class _Out:
    """`send` with our headers added; knows the status."""

    def __init__(self, send: Send, ids: Ids, cors: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._ids = ids
        self.cors = cors
        self.status = 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            there = {name.lower() for name, _ in given}
            given += [pair for pair in _SECURITY if pair[0] not in there]
            given.append((b"x-request-id", self._ids.request.encode()))
            if self._ids.correlation is not None:
                given.append((b"x-correlation-id", self._ids.correlation.encode()))
            message = {**message, "headers": [*given, *self.cors]}
        await self._send(message)


class _In:
    """`receive`, bounded in bytes and in time."""

    def __init__(self, receive: Receive, bounds: _Bounds) -> None:
        self._receive = receive
        self._limit = bounds.body_bytes
        self._until = asyncio.get_running_loop().time() + bounds.body_s
        self._size = 0
        self._whole = False

    async def __call__(self) -> Any:
        if self._whole:  # what comes now is the end of the connection
            return await self._receive()
        async with asyncio.timeout_at(self._until):
            message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._size > self._limit:
                raise GatewayError(ErrorCode.E_BODY_TOO_LARGE, {"limit": self._limit})
        return message
