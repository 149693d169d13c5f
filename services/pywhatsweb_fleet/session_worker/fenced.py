"""A session's events, published under its epoch: the broker refuses them once another worker owns the session."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, ids, subjects
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey
from pywhatsweb_runtime import registry, tracing
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError
from pywhatsweb_runtime.publisher import PubAck, Publisher


@lru_cache(maxsize=65536)
def _chat_key(key: TenantKey, pn: str | None, lid: str | None, group: str | None) -> ChatKey:
    return ids.chat_key(key, pn=pn, lid=lid, group=group)


class FencedEvents:
    """The one way in which a session's owner publishes."""

    __slots__ = (
        "_counter",
        "_fence",
        "_idle",
        "_in_flight",
        "_on_lost",
        "_publisher",
        "_ttl",
        "epoch",
        "form",
        "key",
        "region",
        "session",
        "tenant",
    )

    def __init__(
        self,
        publisher: Publisher,
        key: tuple[str, str],
        record: registry.TenantRecord,
        *,
        epoch: int,
        on_lost: Callable[[], None],
    ) -> None:
        self.tenant = TenantId(key[0])
        self.session = SessionId(key[1])
        self.key = TenantKey(record.key)
        self.form = record.events
        self.region = record.region
        self.epoch = epoch
        self._publisher = publisher
        self._on_lost = on_lost
        self._ttl = f"{record.limits.replay_seconds}s"
        self._counter = itertools.count(1)
        self._in_flight = 0
        self._idle: asyncio.Future[None] | None = None
        self._fence = {
            "Nats-Expected-Last-Subject-Sequence": str(epoch),
            "Nats-Expected-Last-Subject-Sequence-Subject": subjects.own(self.tenant, self.session),
        }

    def chat(self, who: Mapping[str, Any] | None) -> d.Chat | None:
        """The chat with its key; None for one that names nobody."""
        if not who:
            return None
        pn, lid, group = who.get("pn"), who.get("lid"), who.get("group")
        if not (pn or lid or group):
            return None
        return d.Chat(key=_chat_key(self.key, pn, lid, group), pn=pn, lid=lid, group=group)

    def stable_id(self, *parts: str) -> str:
        return ids.stable_event_id(self.key, self.session, *parts)

    async def submit(
        self,
        kind: str,
        data: d.Data | Any,
        *,
        chat: str | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> asyncio.Future[PubAck]:
        """Publishes; the future raises as `Publisher.submit`'s does. A refused epoch is told to the session at once."""
        event = events.EVENT_TYPES[kind](
            id=event_id or ids.new_event_id(),
            tenant_id=self.tenant,
            session_id=self.session,
            timestamp=events.timestamp(),
            sequence=next(self._counter),
            correlation_id=correlation_id,
            causation_id=causation_id,
            epoch=self.epoch,
            data=data,  # type: ignore[call-arg]
        )
        headers = events.headers(event, self.form)
        headers.update(self._fence)
        headers["Nats-TTL"] = self._ttl
        if trace := tracing.current():
            headers[tracing.HEADER] = trace
        if extra:
            headers.update(extra)
        subject = subjects.event_ingest(
            self.tenant, self.session, kind, ChatKey(chat) if chat else subjects.NO_CHAT
        )
        future = await self._publisher.submit(subject, encode(event, self.form), headers)
        self._in_flight += 1
        future.add_done_callback(self._watch)
        return future

    async def state(self, now: registry.NowRecord) -> asyncio.Future[PubAck]:
        """Publishes the session's present state, which replaces the last one and stays."""
        headers = {**self._fence, "Nats-Rollup": "sub", "Nats-Msg-Id": ids.new_event_id()}
        future = await self._publisher.submit(
            subjects.now_ingest(self.tenant, self.session), registry.encode(now), headers
        )
        self._in_flight += 1
        future.add_done_callback(self._watch)
        return future

    async def settled(self, bound_s: float) -> None:
        """Waits until the stream has answered for everything told so far, at most so long."""
        if not self._in_flight:
            return
        if self._idle is None:
            self._idle = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._idle), bound_s)

    def _watch(self, future: asyncio.Future[PubAck]) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, ApiError) and error.code == WRONG_LAST_SEQUENCE:
            self._on_lost()
