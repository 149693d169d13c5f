"""``GET /v1/events``: a tenant's events as server-sent events (https://html.spec.whatwg.org/#server-sent-events).

``id`` is the stream sequence; a client that comes again with it as ``Last-Event-ID`` misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog

from pywhatsweb.errors import ErrorCode, error_struct
from pywhatsweb_fleet.gateway.asgi import Receive, Scope, Send
from pywhatsweb_fleet.gateway.envelope import address_of, headers_of
from pywhatsweb_fleet.gateway.feed import Entry
from pywhatsweb_fleet.gateway.streaming import Streams, position_in, wanted_by

log = structlog.get_logger(__name__)

RETRY_MS: Final = 1000
CHUNK_BYTES: Final = 64 * 1024


async def serve(streams: Streams, scope: Scope, receive: Receive, send: Send) -> None:
    headers = headers_of(scope)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    deps = streams.deps
    try:
        who = await deps.door.enter_stream(headers, query, address_of(scope))
        wanted = wanted_by(who, query)
        asked = position_in(headers, query)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(streams.counted(who, "sse"))
            feed = await stack.enter_async_context(deps.feeds.open(who.tenant))
            position, beyond = await feed.start_after(asked)
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"text/event-stream"),
                        (b"x-accel-buffering", b"no"),
                        (b"x-tenant-id", who.tenant.encode()),
                    ],
                }
            )
            first = f"retry: {RETRY_MS}\nid: {position}\n\n".encode()
            if asked is not None and beyond is not None:
                first += gap(asked, beyond)
            await _write(streams, send, first)
            await until_gone(receive, _feed(streams, send, streams.follow(feed, who, wanted, position)))
    except TimeoutError:
        # The connection ends without its last chunk, so the client knows that it was cut.
        deps.health.metrics.http_cut.labels("sse").inc()
        log.info("a slow reader of events was cut", code=ErrorCode.E_SLOW_CONSUMER.wire)


async def until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` until it ends or the client goes. Raises what it raises."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


async def _feed(streams: Streams, send: Send, batches: AsyncIterator[list[Entry] | int]) -> None:
    async for batch in batches:
        if isinstance(batch, int):
            await _write(streams, send, f": {batch}\n\n".encode())
        else:
            for chunk in chunks(map(frame, batch)):
                await _write(streams, send, chunk)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(streams: Streams, send: Send, body: bytes) -> None:
    """Waits until the connection takes it; a TimeoutError when it does not for too long."""
    async with asyncio.timeout(streams.deps.settings.slow_after_s):
        await send({"type": "http.response.body", "body": body, "more_body": True})


def chunks(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Many small frames in one write, but never so much that a slow connection's buffer grows large."""
    held: list[bytes] = []
    size = 0
    for each in frames:
        held.append(each)
        size += len(each)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def frame(entry: Entry) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (entry.sequence, entry.kind.encode(), entry.json)


def gap(asked: int, last: int) -> bytes:
    """The stream is another than the one that the client knew: what it missed cannot be told."""
    body = error_struct(ErrorCode.E_EVENT_GAP, {"after": asked, "last": last})
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)
