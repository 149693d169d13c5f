"""``/v1/ws``: a tenant's events over a WebSocket, in JSON.

Frames: ``{"sequence": <stream sequence>, "event": {…}}``, and ``{"sequence": <position>}`` as a heartbeat; a client
that comes again with ``?after=<sequence>`` misses nothing. What a client sends is ignored.

Close codes: 4401 credentials, 4403 not allowed, 4408 too slow, 4429 too many, 4500 the events cannot be read, 1001 the
gateway stops (come again).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from pywhatsweb.errors import ErrorCode, error_struct
from pywhatsweb_fleet.gateway import problems
from pywhatsweb_fleet.gateway.asgi import Receive, Scope, Send
from pywhatsweb_fleet.gateway.auth import SUBPROTOCOL
from pywhatsweb_fleet.gateway.envelope import address_of, headers_of
from pywhatsweb_fleet.gateway.feed import Entry
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.sse import until_gone
from pywhatsweb_fleet.gateway.streaming import Streams, position_in, wanted_by

log = structlog.get_logger(__name__)

PATH: Final = "/v1/ws"
TOO_SLOW: Final = 4408
GOING_AWAY: Final = 1001
_CLOSE_S: Final = 1.0
_CODES: Final = {401: 4401, 403: 4403, 404: 4404, 429: 4429}


async def serve(streams: Streams, scope: Scope, receive: Receive, send: Send) -> None:
    headers = headers_of(scope)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    offered = tuple(scope.get("subprotocols") or ())
    deps = streams.deps
    await receive()  # websocket.connect
    accepted = False
    try:
        if scope["path"] != PATH:
            raise GatewayError(ErrorCode.E_UNKNOWN_VERB)
        _check_origin(headers, deps.settings.allowed_origins)
        who = await deps.door.enter_stream(headers, query, address_of(scope), offered)
        wanted = wanted_by(who, query)
        asked = position_in(headers, query)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(streams.counted(who, "websocket"))
            feed = await stack.enter_async_context(deps.feeds.open(who.tenant))
            position, beyond = await feed.start_after(asked)
            protocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
            await send({"type": "websocket.accept", "subprotocol": protocol, "headers": []})
            accepted = True
            await _write(streams, send, b'{"sequence":%d}' % position)
            if beyond is not None:
                error = error_struct(ErrorCode.E_EVENT_GAP, {"after": asked, "last": beyond})
                await _write(streams, send, b'{"error":%b}' % msgspec.json.encode(error))
            await until_gone(receive, _feed(streams, send, streams.follow(feed, who, wanted, position)))
    except TimeoutError:
        deps.health.metrics.http_cut.labels("websocket").inc()
        log.info("a slow reader of events was cut", code=ErrorCode.E_SLOW_CONSUMER.wire)
        await _close(send, TOO_SLOW, ErrorCode.E_SLOW_CONSUMER.wire)
    except Exception as error:
        body = problems.of(error)
        if body.code == ErrorCode.E_INTERNAL.wire:
            log.exception("a WebSocket failed")
        if accepted or not await _refuse(scope, send, error):
            await _close(send, _CODES.get(body.http_status, 4500), body.code)


def _check_origin(headers: dict[str, str], allowed: frozenset[str]) -> None:
    """A browser tells from which page a WebSocket comes: only our own pages and those allowed may open one."""
    origin = headers.get("origin")
    if origin is None or origin in allowed or origin.partition("://")[2] == headers.get("host"):
        return
    raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "this origin is not allowed"})


async def _feed(streams: Streams, send: Send, batches: AsyncIterator[list[Entry] | int]) -> None:
    async for batch in batches:
        if isinstance(batch, int):
            await _write(streams, send, b'{"sequence":%d}' % batch)
            continue
        for entry in batch:
            await _write(streams, send, b'{"sequence":%d,"event":%b}' % (entry.sequence, entry.json))
    await _close(send, GOING_AWAY, ErrorCode.E_SHUTTING_DOWN.wire)


async def _write(streams: Streams, send: Send, body: bytes) -> None:
    async with asyncio.timeout(streams.deps.settings.slow_after_s):
        await send({"type": "websocket.send", "text": body.decode(), "bytes": None})


async def _close(send: Send, code: int, reason: str) -> None:
    with contextlib.suppress(Exception):  # it may be gone
        async with asyncio.timeout(_CLOSE_S):
            await send({"type": "websocket.close", "code": code, "reason": reason})


async def _refuse(scope: Scope, send: Send, error: Exception) -> bool:
    """The handshake's answer as a problem, where the server can; whether it could."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return False
    body = problems.from_body(problems.of(error))
    headers = [(b"content-type", problems.CONTENT_TYPE.encode())]
    await send({"type": "websocket.http.response.start", "status": body.status, "headers": headers})
    await send(
        {"type": "websocket.http.response.body", "body": msgspec.json.encode(body), "more_body": False}
    )
    return True
