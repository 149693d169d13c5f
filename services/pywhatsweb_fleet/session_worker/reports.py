"""What the engine reported, as events in the stream: messages, receipts and the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import MessageStatus, timestamp
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines.port import EventUnit
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.fetching import fetch_of, fetch_of_post, without_source
from pywhatsweb_fleet.session_worker.inbound import tell
from pywhatsweb_fleet.session_worker.outcomes import error_of
from pywhatsweb_fleet.session_worker.repeats import Repeats
from pywhatsweb_fleet.session_worker.sent import Sent, SentBook
from pywhatsweb_fleet.session_worker.telling import Telling
from pywhatsweb_fleet.session_worker.units import TOO_LARGE
from pywhatsweb_fleet.storage import idempotency
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.media_fetches import Fetch
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import ApiError
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)

Futures = list[asyncio.Future[PubAck]]


class Reports:
    """Of one session; `store` is given each event unit in turn."""

    def __init__(
        self,
        deps: Deps,
        events: FencedEvents,
        book: SentBook,
        telling: Telling,
        looked: Callable[[], Awaitable[None]],
    ) -> None:
        """``looked``: waits until it is known what the head of the queue holds."""
        self._deps = deps
        self._events = events
        self._book = book
        self._telling = telling
        self._looked = looked
        self._repeats = Repeats(deps, events)
        self.post_files = True
        """Whether files of statuses are fetched, too."""

    async def store(self, unit: EventUnit) -> Futures:
        """Publishes what the unit tells; the futures say when it is durable.

        What does not fit its kind is told as an alert, never dropped in silence and never held: WhatsApp would send
        it for ever.
        """
        try:
            if unit.kind == TOO_LARGE:
                return [await self._misfit(unit, "E_BODY_TOO_LARGE")]
            if unit.kind == "status":
                return await self._status(unit.data)
            told = tell(self._events, unit.kind, unit.data)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            # Not the error's words: they may quote a value.
            log.warning("an engine's event does not fit", kind=unit.kind, error=type(error).__name__)
            return [await self._misfit(unit)]
        if told is None:
            return []
        event_id = self._events.stable_id(*told.parts) if told.parts else None
        chat = told.chat.key if told.chat else None
        if event_id is not None and await self._repeats.has(told.kind, chat, event_id, _time_of(unit.data)):
            return []
        if unit.kind == "message" and not unit.data.get("from_self"):
            if not unit.data.get("history"):
                who = self._deps.metrics.who(self._events.tenant, self._events.session)
                self._deps.metrics.messages_in.labels(str(unit.data.get("type")), *who).inc()
            if chat is not None:
                self._telling.cold.talked(chat)
        data = await self._noting_file(unit, told.data)
        return [await self._events.submit(told.kind, data, chat=chat, event_id=event_id)]

    async def _noting_file(self, unit: EventUnit, data: Any) -> Any:
        """What is to be told, once it is noted that its file is to be fetched. Raises StorageUnavailable."""
        fetch = self._fetch_of(unit, data)
        if fetch is None or self._deps.fetching is None:
            return data
        await self._deps.fetching(fetch)
        return msgspec.structs.replace(data, media=without_source(data.media))

    def _fetch_of(self, unit: EventUnit, data: Any) -> Fetch | None:
        if isinstance(data, d.Message):
            return fetch_of(self._events, unit.data, data)
        if isinstance(data, d.Post) and self.post_files:
            return fetch_of_post(self._events, unit.data, data)
        return None

    async def _misfit(self, unit: EventUnit, code: str = "E_INTERNAL") -> asyncio.Future[PubAck]:
        kind = unit.data.get("kind", "") if unit.kind == TOO_LARGE else unit.kind
        data = d.Alert(
            kind="unreadable_event",
            error=error_of(code),
            message_id=str(unit.data.get("id") or "") or None,
            details={"kind": str(kind)},
        )
        return await self._events.submit("alert", data)

    async def _status(self, raw: Mapping[str, Any]) -> Futures:
        status = MessageStatus(raw["status"])
        message_ids: Sequence[str] = raw["message_ids"]
        at = raw.get("at")
        by = raw.get("by")
        chat = self._events.chat(raw.get("chat"))
        person = d.Person(pn=by.get("pn"), lid=by.get("lid"), name=by.get("name")) if by else None
        in_group = chat is not None and chat.group is not None
        await self._looked()
        await self.look_up([message_id for message_id in message_ids if self._book.get(message_id) is None])
        futures: Futures = []
        for message_id in message_ids:
            await self._telling.confirm(message_id)
            entry = self._book.get(message_id) or self._book.put(message_id, Sent(None))
            await entry.told()
            before = entry.last
            # In a group each member has an own way from delivered to read.
            if not entry.advance(status) and not in_group:
                continue
            data = d.Status(
                command_id=entry.command_id,
                message_id=message_id,
                inbox_id=entry.inbox,
                status=status,
                error=error_of("E_WHATSAPP_REJECTED") if status is MessageStatus.FAILED else None,
                chat=chat,
                by=person if in_group else None,
                at=timestamp(at) if at else None,
            )
            reader = str((by or {}).get("lid") or (by or {}).get("pn")) if in_group else ""
            try:
                with tracing.following(status.value, entry.traceparent):
                    future = await self._events.submit(
                        "status",
                        data,
                        chat=chat.key if chat else None,
                        event_id=self._events.stable_id("receipt", message_id, status.value, reader),
                        correlation_id=entry.correlation_id,
                        causation_id=entry.command_id,
                    )
            except BaseException:
                entry.take_back(status, before)
                raise
            future.add_done_callback(_unless_stored(entry, status, before))
            futures.append(future)
        return futures

    async def look_up(self, message_ids: Sequence[str]) -> None:
        """Messages of an earlier owner, or of long ago: the durable record knows their commands."""
        if not message_ids:
            return
        try:
            found = await self._deps.store.read(
                idempotency.by_message, self._events.tenant, list(message_ids)
            )
        except StorageUnavailable:
            return
        for message_id, record in found.items():
            if record.session != self._events.session:
                continue
            known = self._book.get(message_id)
            if known is None or known.last is None:
                self._book.put(message_id, Sent(record.command_id, None, _known(record.status)))


def _unless_stored(
    entry: Sent, status: MessageStatus, before: MessageStatus | None
) -> Callable[[asyncio.Future[PubAck]], None]:
    """A status that the stream refused, or may not have, must be told when it comes again."""

    def look(future: asyncio.Future[PubAck]) -> None:
        if future.cancelled():
            entry.doubt(status)
        elif isinstance(future.exception(), ApiError):
            entry.take_back(status, before)
        elif future.exception() is not None:
            entry.doubt(status)

    return look


def _time_of(data: Mapping[str, Any]) -> int:
    """When WhatsApp says that it happened, in milliseconds; 0: it does not say."""
    at = data.get("sent_at") or data.get("at")
    return at if isinstance(at, int) else 0


def _known(status: str) -> MessageStatus | None:
    """How far it came as the record has it; what was told since is told again under the same id, and dropped."""
    try:
        known = MessageStatus(status)
    except ValueError:
        return None
    return known if known.rank >= MessageStatus.UNKNOWN.rank else None
