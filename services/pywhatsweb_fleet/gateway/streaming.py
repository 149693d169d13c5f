"""What SSE and WebSocket share: who reads which events from where, and when a reader is cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import structlog

from pywhatsweb.contracts import events
from pywhatsweb.contracts.subjects import NO_SESSION, valid_name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.feed import Entry, Feed, Wanted
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable

log = structlog.get_logger(__name__)

MAX_FILTERS: Final = 64
_PAUSE_S: Final = 0.5


class Streams:
    """The event streams that are open here."""

    def __init__(self, deps: Deps, stopping: asyncio.Event) -> None:
        self.deps = deps
        self.stopping = stopping
        self._open: Counter[str] = Counter()
        for kind in ("sse", "websocket"):  # 0 until the first, rather than no series
            deps.health.metrics.http_streams.labels(kind)

    @contextlib.contextmanager
    def counted(self, who: Principal, kind: str) -> Iterator[None]:
        """Raises GatewayError(E_QUOTA_EXCEEDED) when the key has too many."""
        limit = self.deps.settings.streams_per_key
        if self._open[who.key_id] >= limit:
            raise GatewayError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": limit})
        self._open[who.key_id] += 1
        metrics = self.deps.health.metrics
        gauges = [metrics.http_streams.labels(kind), *([metrics.websockets] if kind == "websocket" else [])]
        for gauge in gauges:
            gauge.inc()
        try:
            yield
        finally:
            for gauge in gauges:
                gauge.dec()
            self._open[who.key_id] -= 1
            if not self._open[who.key_id]:
                del self._open[who.key_id]

    async def follow(
        self, feed: Feed, who: Principal, wanted: Wanted, position: int
    ) -> AsyncIterator[list[Entry] | int]:
        """Batches of what is wanted after `position`; a position (int) when nothing came for a heartbeat's time.

        Ends when the gateway stops or the key is over. Raises what ended the feed.
        """
        heartbeat_s = self.deps.settings.heartbeat_s
        loop = asyncio.get_running_loop()
        quiet_since = checked_at = loop.time()
        while not self.stopping.is_set():
            if feed.failed is not None:
                raise feed.failed
            if position < feed.floor:
                mark = feed.floor
                try:
                    found = await feed.read(wanted, position)
                except (BrokerUnavailable, ApiError):
                    await asyncio.sleep(_PAUSE_S)
                    continue
                position = found[-1].sequence if found else mark
            else:
                found = feed.since(position)
                position = found[-1].sequence if found else max(position, feed.last)
            kept = [entry for entry in found if wanted.has(entry)]
            if kept:
                yield kept
                quiet_since = loop.time()
            elif not found:
                await feed.changed(min(1.0, heartbeat_s))
            if loop.time() - checked_at >= heartbeat_s:
                if not await self.deps.door.still(who):
                    return
                checked_at = loop.time()
            if loop.time() - quiet_since >= heartbeat_s:
                yield position
                quiet_since = loop.time()


def wanted_by(who: Principal, query: Mapping[str, str]) -> Wanted:
    """``?session=a,b&type=message,status``, kept to the key's sessions. Raises GatewayError."""
    who.need("read")
    sessions = _names(query.get("session"), "?session")
    types = _names(query.get("type"), "?type")
    for name in sessions or ():
        if name != NO_SESSION and not valid_name(name):
            raise GatewayError(ErrorCode.E_INVALID_SESSION_ID)
    if types is not None and not types <= events.EVENT_TYPES.keys():
        raise GatewayError(
            ErrorCode.E_UNSUPPORTED_TYPE, {"path": "?type", "types": sorted(events.EVENT_TYPES)}
        )
    if who.sessions is not None:
        for name in sessions or ():
            who.session(name)
        sessions = sessions or who.sessions
    return Wanted(sessions, types)


def _names(text: str | None, path: str) -> frozenset[str] | None:
    if text is None:
        return None
    names = frozenset(name for name in text.split(",") if name)
    if not 1 <= len(names) <= MAX_FILTERS:
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": path, "limit": MAX_FILTERS})
    return names


def position_in(headers: Mapping[str, str], query: Mapping[str, str]) -> int | None:
    """The stream sequence after which to read on: ``Last-Event-ID``, or ``?after``; None: from now on."""
    text = headers.get("last-event-id") or query.get("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "Last-Event-ID"})
    return int(text)
