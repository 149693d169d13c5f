"""What became of a session's commands: told in order, and again until each command has left the queue.

A command's way in events is `sent`, `failed` or `unknown`; `unknown` is settled by a receipt or a late
acknowledgement. Three may know that WhatsApp has a message: its acknowledgement, a receipt, the durable record of an
earlier owner. Whoever comes first, `sent` is told once and before what follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.codec import form_of
from pywhatsweb.contracts.events import MessageStatus, may_follow, timestamp
from pywhatsweb.contracts.queued import Queued, from_headers
from pywhatsweb_fleet.session_worker import outgoing
from pywhatsweb_fleet.session_worker.attaching import KINDS as FILE_KINDS
from pywhatsweb_fleet.session_worker.attaching import Attached, Attaching
from pywhatsweb_fleet.session_worker.cold import ColdHold
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.figures import Figures
from pywhatsweb_fleet.session_worker.lane import Futures
from pywhatsweb_fleet.session_worker.outcomes import error_of, submit_dead_letter, submit_status
from pywhatsweb_fleet.session_worker.repeats import Repeats
from pywhatsweb_fleet.session_worker.sent import Sent, SentBook
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import Stored
from pywhatsweb_runtime.publisher import PubAck

SENDS = frozenset(("send", "forward"))
"""Verbs that bring a new message into a chat."""
_TAKEN = frozenset((MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.PLAYED))

_from_msgpack = msgspec.msgpack.Decoder().decode
_from_json = msgspec.json.Decoder().decode


class Flight:
    """A command that is being done, or may have been. ``told``: its outcome's futures, when a receipt came first.

    ``waited``: it was queued before the link opened.
    """

    __slots__ = ("attached", "body", "queued", "stored", "told", "waited")

    def __init__(self, queued: Queued, stored: Stored) -> None:
        data = stored.data
        self.attached: Attached | None = None
        self.queued = queued
        self.stored = stored
        self.body: Mapping[str, Any] = _from_json(data) if form_of(data) == "json" else _from_msgpack(data)
        self.told: Futures = []
        self.waited = False


def _begun(queued: Queued) -> Sent:
    trace = tracing.current() or queued.traceparent
    return Sent(
        queued.command_id, queued.correlation_id or None, traceparent=trace, inbox=queued.inbox or None
    )


class Telling:
    """Of one session."""

    def __init__(
        self, deps: Deps, events: FencedEvents, book: SentBook, attaching: Attaching, cold: ColdHold
    ) -> None:
        self.me: port.Person | None = None
        self.cold = cold
        self.figures = Figures(deps.settings.alert_latency_s, deps.settings.alert_error_rate)
        self.who = deps.metrics.who(events.tenant, events.session)
        """Labels of metrics."""
        self.timeouts = 0
        """Acknowledgements that did not come, in a row."""
        self._deps = deps
        self._events = events
        self._book = book
        self._attaching = attaching
        self._repeats = Repeats(deps, events)
        self._under_way: dict[str, Flight] = {}
        self._heads: dict[str, Flight] = {}
        """What is queued and may have been sent: by an earlier owner or link, or without an acknowledgement."""
        self._outcomes: dict[str, Callable[[], Awaitable[Futures]]] = {}
        """How to tell again what became of a command that has not left the queue yet."""
        self._performed: dict[str, str] = {}
        """Commands that leave the queue when it is next acknowledged, and their messages."""
        self._unkept: set[str] = set()
        """Commands sent over a link that went before the keys of its sends were durable."""

    # The queue and the link.

    def link_opened(self, *, keys_kept: bool = True) -> None:
        """``keys_kept``: every key that the last link changed is durable.

        If not, the new link begins with older keys: what was sent with the lost ones and is still queued is sent again
        under its ids, or the next message would be encrypted with a key that its recipient has used up.
        """
        self._under_way.clear()
        if not keys_kept:
            self._unkept |= self._outcomes.keys()

    def remember_heads(self, heads: Sequence[Stored]) -> list[str]:
        """Before a lane begins: gives the message ids that may have been sent already."""
        self._heads.clear()
        for stored in heads:
            try:
                flight = Flight(from_headers(stored.headers), stored)
            except (KeyError, ValueError, msgspec.MsgspecError):
                continue  # the lane sets it aside in its turn
            if flight.queued.message_id and flight.queued.verb == "send":
                self._heads[flight.queued.message_id] = flight
        return list(self._heads)

    def performed(self, queued: Queued) -> None:
        """Its outcome is on the way to the stream; it leaves the queue when that is next acknowledged."""
        self._performed[queued.digest] = queued.message_id

    def settled(self) -> None:
        """Everything performed so far has left the queue. What a receipt alone has shown to be sent is still in it."""
        for digest, message_id in self._performed.items():
            self._outcomes.pop(digest, None)
            self._heads.pop(message_id, None)
        self._unkept -= self._performed.keys()
        self._performed.clear()

    # One command.

    async def again(self, queued: Queued) -> Futures | None:
        """What became of a command that was done before, told once more; None: it is to be done."""
        known = self._book.get(queued.message_id)
        last = known.last if known is not None else None
        tell = self._outcomes.get(queued.digest)
        if tell is None:
            # An earlier owner's failure: the durable record has its end, so the stream has it too.
            return [] if last is not None and last.rank == MessageStatus.FAILED.rank else None
        # One that the record knows as sent is sent again all the same: whether its keys were kept, no record says.
        return None if queued.digest in self._unkept and last in _TAKEN else await tell()

    def begin(self, queued: Queued, stored: Stored) -> Flight:
        """Raises msgspec.MsgspecError for a body that cannot be read."""
        flight = Flight(queued, stored)
        flight.waited = queued.message_id in self._heads
        if self._book.get(queued.message_id) is None:
            self._book.put(queued.message_id, _begun(queued))
        return flight

    @contextlib.contextmanager
    def under_way(self, flight: Flight) -> Iterator[None]:
        """While the engine may have it: a receipt may come before the acknowledgement."""
        message_id = flight.queued.message_id
        self._under_way[message_id] = flight
        self._heads.pop(message_id, None)
        try:
            yield
        except BaseException:
            # Interrupted or handed over: WhatsApp may have it all the same, and a receipt on its way will say so.
            if flight.queued.verb == "send":
                self._heads[message_id] = flight
            raise
        finally:
            self._under_way.pop(message_id, None)

    async def confirm(self, message_id: str) -> None:
        """A receipt shows that WhatsApp has it, though its acknowledgement was not seen yet: tells `sent` first."""
        flight = self._under_way.get(message_id)
        if flight is None:
            flight = self._heads.pop(message_id, None)
            known = self._book.get(message_id)
            last = known.last if known is not None else None
            if flight is None or not (last is None or self._unsure(flight, last)):
                return
            if last is None:
                self._book.put(message_id, _begun(flight.queued))
        if not flight.told:
            flight.told = await self._sent(flight, int(time.time() * 1000))

    def _unsure(self, flight: Flight, last: MessageStatus) -> bool:
        """Whether this owner has `unknown` to tell of it, or told it: of an earlier one's the record may lag."""
        return last is MessageStatus.UNKNOWN and flight.queued.digest in self._outcomes

    async def acknowledged(self, flight: Flight, done: port.Done) -> Futures:
        """WhatsApp took it."""
        self.timeouts = 0
        return flight.told or await self._sent(flight, done.at, done.message_id)

    def acknowledged_late(self, flight: Flight, act: asyncio.Future[port.Done]) -> None:
        """The acknowledgement came after the time-out: `unknown` is settled, unless a receipt did so before."""
        if act.cancelled() or act.exception() is not None:
            return
        entry = self._book.get(flight.queued.message_id)
        if entry is not None and not may_follow(entry.last, MessageStatus.SENT):
            return
        asyncio.ensure_future(self._sent_late(flight, act.result()))  # noqa: RUF006 - told or not, it is known

    async def _sent_late(self, flight: Flight, done: port.Done) -> None:
        """Told; to be told again with its command only if that is still queued, for else nobody would forget it."""
        queued = flight.queued.digest in self._outcomes
        try:
            await self._sent(flight, done.at, done.message_id)
        finally:
            if not queued:
                self._outcomes.pop(flight.queued.digest, None)

    async def _sent(self, flight: Flight, at: int, message_id: str | None = None) -> Futures:
        queued = flight.queued
        self._unkept.discard(queued.digest)
        entry = self._book.get(queued.message_id)
        if entry is not None:
            if message_id and message_id != queued.message_id:
                self._book.put(message_id, entry)
            if not entry.advance(MessageStatus.SENT) and entry.last in _TAKEN:
                return await self._as_told(queued)
        self._deps.metrics.messages_out.labels("sent", *self.who).inc()
        if queued.verb in SENDS:
            self.cold.talked(queued.chat)

        async def tell() -> Futures:
            futures: Futures = []
            when = timestamp(at)
            shown = await self._shown(flight, when, message_id or queued.message_id)
            if shown is not None:
                futures.append(shown)
            stored = await submit_status(self._events, queued, "sent", at=when, message_id=message_id)
            if entry is not None:
                entry.tells(stored, tell)
            return [*futures, stored]

        self._outcomes[queued.digest] = tell
        if entry is not None:
            entry.owes(tell)
        return await tell()

    async def _shown(self, flight: Flight, at: str, message_id: str) -> asyncio.Future[PubAck] | None:
        """The event that shows what was done: a message, or the change of one; None: nobody else sees it."""
        queued, body = flight.queued, flight.body
        if queued.verb in SENDS:
            media = flight.attached.media if flight.attached is not None else None
            if media is None and body["type"] in FILE_KINDS:
                media = await self._attaching.known(queued)
            kind, data = outgoing.message(queued, body, self.me, at=at, message_id=message_id, media=media)
        elif (change := outgoing.change(queued, body, self.me, at=at, message_id=message_id)) is not None:
            kind, data = change
        else:
            return None
        return await self._events.submit(
            kind,
            data,
            chat=None if kind == "post" else queued.chat,
            event_id=self._events.stable_id(kind, queued.chat, message_id, ""),
            correlation_id=queued.correlation_id or None,
            causation_id=queued.command_id,
        )

    async def failed(self, flight: Flight, error: port.EngineError, *, tried: int = 0) -> Futures:
        """``tried``: how often in vain, where one more time might do: it is set aside to be put back."""
        queued = flight.queued
        entry = self._book.get(queued.message_id)
        if entry is not None:
            entry.advance(MessageStatus.FAILED)
        self._count("failed", error.code)

        async def tell() -> Futures:
            futures: Futures = []
            if tried:
                futures += await submit_dead_letter(
                    self._deps.publisher,
                    self._events,
                    flight.stored,
                    queued,
                    code=error.code,
                    attempts=tried,
                )
            futures.append(
                await submit_status(self._events, queued, "failed", error.code, detail=error.detail)
            )
            return futures

        self._outcomes[queued.digest] = tell
        return await tell()

    async def unknown(self, flight: Flight, code: str = "E_ACK_TIMEOUT") -> Futures:
        """WhatsApp may have it: never sent again blindly, never silently dropped."""
        queued = flight.queued
        if flight.told:
            return flight.told
        self.timeouts += 1
        entry = self._book.get(queued.message_id)
        if entry is not None and not entry.advance(MessageStatus.UNKNOWN) and entry.last in _TAKEN:
            return await self._as_told(queued)  # a repeat under its id: WhatsApp had it before
        if flight.waited:
            if await self._told_by_another(queued):
                return []
            if entry is not None and entry.last is not MessageStatus.UNKNOWN:
                return await self._as_told(queued)  # a receipt came meanwhile
        self._count("unknown", code)
        alert = d.Alert(
            kind="ack_timeout",
            error=error_of(code),
            command_id=queued.command_id,
            message_id=queued.message_id,
        )

        if queued.verb == "send":
            self._heads[queued.message_id] = flight

        async def tell() -> Futures:
            return [
                await submit_status(self._events, queued, "unknown", code),
                await self._events.submit(
                    "alert",
                    alert,
                    event_id=self._events.stable_id("alert", "ack_timeout", queued.command_id),
                    causation_id=queued.command_id,
                ),
            ]

        self._outcomes[queued.digest] = tell
        return await tell()

    async def _told_by_another(self, queued: Queued) -> bool:
        """Whether an earlier owner told that it was sent; the durable record may lag behind the stream."""
        sent = self._events.stable_id("status", queued.command_id, "sent")
        return await self._repeats.holds("status", queued.chat, sent, queued.accepted_at / 1000)

    async def _as_told(self, queued: Queued) -> Futures:
        """Told before: by this owner, who may have to repeat it, or by an earlier one."""
        again = self._outcomes.get(queued.digest)
        return await again() if again is not None else []

    def _count(self, status: str, code: str) -> None:
        self.figures.failed()
        self._deps.metrics.messages_out.labels(status, *self.who).inc()
        self._deps.metrics.errors.labels(code, *self.who).inc()
