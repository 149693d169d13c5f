"""Doing one command: pace, send under its stable id, wait for WhatsApp's acknowledgement, tell the outcome."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.codec import form_of
from pywhatsweb.contracts.events import MessageStatus, may_follow, timestamp
from pywhatsweb.contracts.places import place_of
from pywhatsweb.contracts.queued import Queued, from_headers
from pywhatsweb.errors import get_retryable_errors
from pywhatsweb_fleet.session_worker import outgoing
from pywhatsweb_fleet.session_worker.attaching import KINDS as FILE_KINDS
from pywhatsweb_fleet.session_worker.attaching import SLOWEST, Attached, Attaching
from pywhatsweb_fleet.session_worker.audience import Audience, patience_s
from pywhatsweb_fleet.session_worker.cold import ColdHold
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.figures import Figures
from pywhatsweb_fleet.session_worker.forwarding import Forwarding
from pywhatsweb_fleet.session_worker.lane import Futures, Interrupted
from pywhatsweb_fleet.session_worker.outcomes import (
    error_of,
    submit_dead_letter,
    submit_status,
)
from pywhatsweb_fleet.session_worker.pacing import Pacer
from pywhatsweb_fleet.session_worker.repeats import Repeats
from pywhatsweb_fleet.session_worker.sent import Sent, SentBook
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import Stored
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)

SENDS = frozenset(("send", "forward"))
"""Verbs that bring a new message into a chat."""
TRIES = 3
_LINK_LOST = frozenset(
    ("E_CONNECTION_LOST", "E_SESSION_NOT_READY", "E_SIDECAR_CRASHED", "E_ENGINE_UNAVAILABLE")
)
"""It did not fail: it is done again when there is a link."""
_RETRYABLE = frozenset(code.wire for code in get_retryable_errors()) - _LINK_LOST
_MOST_INTERRUPTIONS = 10
_TAKEN = frozenset((MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.PLAYED))

_from_msgpack = msgspec.msgpack.Decoder().decode
_from_json = msgspec.json.Decoder().decode


class _InFlight:
    """A send under way. ``told``: the futures of its outcome, when a receipt came before the acknowledgement.

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


class Sending:
    """Of one session; `perform` is called by its lane, one command at a time."""

    def __init__(
        self,
        deps: Deps,
        events: FencedEvents,
        book: SentBook,
        pacer: Pacer,
        *,
        link: Callable[[], port.EngineSession | None],
        attaching: Attaching | None = None,
    ) -> None:
        self._attaching = attaching or Attaching(events, None, None)
        self._forwarding = Forwarding(deps, events)
        self._audience = Audience(deps, events)
        self.me: port.Person | None = None
        self.pacer = pacer
        self.ack_timeout_s = deps.settings.ack_timeout_s
        self.cold = ColdHold(deps, events)
        self.figures = Figures(deps.settings.alert_latency_s, deps.settings.alert_error_rate)
        self._repeats = Repeats(deps, events)
        self._deps = deps
        self.who = deps.metrics.who(events.tenant, events.session)
        """Labels of metrics."""
        self._events = events
        self._book = book
        self._link = link
        self._in_flight: dict[str, _InFlight] = {}
        self._heads: dict[str, _InFlight] = {}
        """What is queued and may have been sent: by an earlier owner or link, or without an acknowledgement."""
        self._outcomes: dict[str, Callable[[], Awaitable[Futures]]] = {}
        """How to tell again what became of a command that has not left the queue yet."""
        self._performed: dict[str, str] = {}
        """Commands that leave the queue when it is next acknowledged, and their messages."""
        self._unkept: set[str] = set()
        """Commands sent over a link that went before the keys of its sends were durable."""
        self._interruptions: OrderedDict[str, int] = OrderedDict()
        self.timeouts = 0
        """Acknowledgements that did not come, in a row."""

    def link_opened(self, *, keys_kept: bool = True) -> None:
        """``keys_kept``: every key that the last link changed is durable.

        If not, the new link begins with older keys: what was sent with the lost ones and is still queued is sent again
        under its ids, or the next message would be encrypted with a key that its recipient has used up.
        """
        self._in_flight.clear()
        if not keys_kept:
            self._unkept |= self._outcomes.keys()

    def remember_heads(self, heads: Sequence[Stored]) -> list[str]:
        """Before a lane begins: gives the message ids that may have been sent already."""
        self._heads.clear()
        for stored in heads:
            try:
                flight = _InFlight(from_headers(stored.headers), stored)
            except (KeyError, ValueError, msgspec.MsgspecError):
                continue  # the lane sets it aside in its turn
            if flight.queued.message_id and flight.queued.verb == "send":
                self._heads[flight.queued.message_id] = flight
        return list(self._heads)

    def settled(self) -> None:
        """Everything performed so far has left the queue. What a receipt alone has shown to be sent is still in it."""
        for digest, message_id in self._performed.items():
            self._outcomes.pop(digest, None)
            self._heads.pop(message_id, None)
        self._unkept -= self._performed.keys()
        self._performed.clear()

    async def perform(self, queued: Queued, stored: Stored) -> Futures:
        """The futures of the outcome's events. Raises Interrupted when the link is gone: the command stays queued."""
        futures = await self._perform(queued, stored)
        self._performed[queued.digest] = queued.message_id
        return futures

    async def _perform(self, queued: Queued, stored: Stored) -> Futures:
        again = self._outcomes.get(queued.digest)
        known = self._book.get(queued.message_id)
        last = known.last if known is not None else None
        if again is not None and (queued.digest not in self._unkept or last not in _TAKEN):
            return await again()
        if again is None and last is not None and last.rank == MessageStatus.FAILED.rank:
            return []  # an earlier owner's: the durable record has its end, so the stream has it too
        flight = _InFlight(queued, stored)
        flight.waited = queued.message_id in self._heads
        # One that the record knows as sent is sent again all the same: whether its keys were kept, no record says.
        if known is None:
            self._book.put(queued.message_id, _begun(queued))
        if queued.verb in SENDS and await self.cold.holds(queued):
            return await self._failed(flight, port.EngineError("E_WHATSAPP_REACHOUT_LIMITED", "held"), 1)
        if queued.verb in SENDS and await self._opted_out(flight):
            return await self._failed(flight, port.EngineError("E_CONTACT_OPTED_OUT", "opted out"), 1)
        self._in_flight[queued.message_id] = flight
        self._heads.pop(queued.message_id, None)
        try:
            return await self._try(flight)
        except BaseException:
            # Interrupted or handed over: WhatsApp may have it all the same, and a receipt on its way will say so.
            if queued.verb == "send":
                self._heads[queued.message_id] = flight
            raise
        finally:
            self._in_flight.pop(queued.message_id, None)

    async def _opted_out(self, flight: _InFlight) -> bool:
        of, marketing = self._events, flight.body.get("purpose") == "marketing"
        try:
            return await self._deps.optouts.forbid(
                of.tenant, of.key, of.session, flight.queued, marketing=marketing
            )
        except StorageUnavailable as error:
            raise Interrupted("the record of opt-outs does not answer") from error

    async def confirm(self, message_id: str) -> None:
        """A receipt shows that WhatsApp has it, though its acknowledgement was not seen yet: tells `sent` first."""
        flight = self._in_flight.get(message_id)
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

    def _unsure(self, flight: _InFlight, last: MessageStatus) -> bool:
        """Whether this owner has `unknown` to tell of it, or told it: of an earlier one's the record may lag."""
        return last is MessageStatus.UNKNOWN and flight.queued.digest in self._outcomes

    async def _try(self, flight: _InFlight) -> Futures:
        queued = flight.queued
        for attempt in range(1, TRIES + 1):
            try:
                if queued.verb == "forward" and "type" not in flight.body:
                    flight.body = await self._forwarding.resolve(flight.body)
                body = await self._audience.resolve(queued, flight.body)
                flight.attached = await self._attaching.prepare(queued, flight.body)
            except port.EngineError as error:
                if queued.verb == "send":
                    self._deps.metrics.media_failures.labels("send", error.code).inc()
                if (futures := await self._refused(flight, error, attempt)) is None:
                    continue
                return futures
            link = await self._paced()
            started = time.monotonic()
            act = asyncio.ensure_future(link.act(_action(queued, body, self.pacer, flight.attached)))
            try:
                with tracing.following("whatsapp", tracing.current()):
                    async with asyncio.timeout(
                        self.ack_timeout_s + _upload_s(flight.attached) + patience_s(queued, body)
                    ):
                        done = await asyncio.shield(act)
            except TimeoutError:
                act.add_done_callback(lambda late: self._settle_late(flight, late))
                return await self._unknown(flight)
            except asyncio.CancelledError:
                act.cancel()
                raise
            except port.EngineError as error:
                if (futures := await self._refused(flight, error, attempt)) is None:
                    continue
                return futures
            self.timeouts = 0
            if isinstance(done.data, dict) and "upload_ms" in done.data:
                self._deps.metrics.media_upload.labels("whatsapp").observe(done.data["upload_ms"] / 1000)
            took_s = time.monotonic() - started
            self._deps.metrics.send_latency.observe(took_s)
            self.figures.sent(took_s)
            return flight.told or await self._sent(flight, done.at, done.message_id)
        raise AssertionError("unreachable: the last try returns")

    async def _refused(self, flight: _InFlight, error: port.EngineError, attempt: int) -> Futures | None:
        """What comes of an error; None: it is tried again. Raises Interrupted."""
        if error.code == "E_ACK_TIMEOUT":
            return await self._unknown(flight)
        if error.uncertain or error.code in _LINK_LOST:
            return await self._interrupted(flight, error)
        if error.code in _RETRYABLE and attempt < TRIES:
            await asyncio.sleep(self._deps.settings.retry_pause_s)
            return None
        return await self._failed(flight, error, attempt)

    async def _paced(self) -> port.EngineSession:
        wait = self.pacer.delay(time.monotonic())
        if wait > 0:
            await asyncio.sleep(wait)
        link = self._link()
        if link is None:
            raise Interrupted("the link is closed")
        return link

    async def _sent(self, flight: _InFlight, at: int, message_id: str | None = None) -> Futures:
        queued = flight.queued
        self._interruptions.pop(queued.digest, None)
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
            shown = await self._told(flight, when, message_id or queued.message_id)
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

    async def _told_by_another(self, queued: Queued) -> bool:
        """Whether an earlier owner told that it was sent; the durable record may lag behind the stream."""
        sent = self._events.stable_id("status", queued.command_id, "sent")
        return await self._repeats.holds("status", queued.chat, sent, queued.accepted_at / 1000)

    async def _as_told(self, queued: Queued) -> Futures:
        """Told before: by this owner, who may have to repeat it, or by an earlier one."""
        again = self._outcomes.get(queued.digest)
        return await again() if again is not None else []

    async def _told(self, flight: _InFlight, at: str, message_id: str) -> asyncio.Future[PubAck] | None:
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

    async def _failed(self, flight: _InFlight, error: port.EngineError, attempts: int) -> Futures:
        queued = flight.queued
        entry = self._book.get(queued.message_id)
        if entry is not None:
            entry.advance(MessageStatus.FAILED)
        self.figures.failed()
        self._deps.metrics.messages_out.labels("failed", *self.who).inc()
        self._deps.metrics.errors.labels(error.code, *self.who).inc()
        if error.code == "E_WHATSAPP_REACHOUT_LIMITED":
            await self.cold.begin()

        async def tell() -> Futures:
            futures: Futures = []
            if error.code in _RETRYABLE:
                futures += await submit_dead_letter(
                    self._deps.publisher,
                    self._events,
                    flight.stored,
                    queued,
                    code=error.code,
                    attempts=attempts,
                )
            futures.append(
                await submit_status(self._events, queued, "failed", error.code, detail=error.detail)
            )
            return futures

        self._outcomes[queued.digest] = tell
        return await tell()

    async def _unknown(self, flight: _InFlight, code: str = "E_ACK_TIMEOUT") -> Futures:
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
        self.figures.failed()
        self._deps.metrics.messages_out.labels("unknown", *self.who).inc()
        self._deps.metrics.errors.labels(code, *self.who).inc()
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

    async def _interrupted(self, flight: _InFlight, error: port.EngineError) -> Futures:
        """The link went while it was under way: it stays queued and is sent again under the same id.

        A message that every new link dies of must not hold the queue for ever: after ten times it is `unknown`.
        """
        digest = flight.queued.digest
        count = self._interruptions[digest] = self._interruptions.get(digest, 0) + 1
        if len(self._interruptions) > 1000:
            self._interruptions.popitem(last=False)
        if count >= _MOST_INTERRUPTIONS:
            self._interruptions.pop(digest, None)
            return await self._unknown(flight, "E_CONNECTION_LOST")
        raise Interrupted(error.code)

    def _settle_late(self, flight: _InFlight, act: asyncio.Future[port.Done]) -> None:
        """The acknowledgement came after the time-out: `unknown` is settled, unless a receipt did so before."""
        if act.cancelled() or act.exception() is not None:
            return
        entry = self._book.get(flight.queued.message_id)
        if entry is not None and not may_follow(entry.last, MessageStatus.SENT):
            return
        asyncio.ensure_future(self._sent_late(flight, act.result()))  # noqa: RUF006 - told or not, it is known

    async def _sent_late(self, flight: _InFlight, done: port.Done) -> None:
        """Told; to be told again with its command only if that is still queued, for else nobody would forget it."""
        queued = flight.queued.digest in self._outcomes
        try:
            await self._sent(flight, done.at, done.message_id)
        finally:
            if not queued:
                self._outcomes.pop(flight.queued.digest, None)


def _upload_s(attached: Attached | None) -> float:
    return attached.source.size / SLOWEST if attached is not None else 0.0


def _action(
    queued: Queued, body: Mapping[str, Any], pacer: Pacer, attached: Attached | None = None
) -> port.Action:
    kind, _, value = queued.recipient.partition(":")
    to = port.Recipient(**{kind: value}) if value else None
    if queued.verb in SENDS:
        name = str(body["type"])
        content: dict[str, Any] = {"type": name, name: attached.fields if attached else body.get(name)}
        if body.get("disappear_after"):
            content["disappear_after"] = body["disappear_after"]
        if body.get("audience"):
            content["audience"] = body["audience"]
        if queued.verb == "forward":
            content["forwarded"] = True
        typing = int(body.get("typing") or 0)
        if place_of(value) is not None:
            typing = 0  # nobody is there to see it
        elif not typing and name == "text":
            typing = pacer.typing_ms(len(str(body["text"].get("body", ""))))
    else:
        content = {key: value for key, value in body.items() if key not in ("id", "to")}
        typing = 0
    context = body.get("context")
    return port.Action(
        action="send" if queued.verb in SENDS else queued.verb,
        id=queued.message_id,
        to=to,
        content=content,
        context=context if isinstance(context, dict) else None,
        typing_ms=typing,
        source=attached.source if attached is not None else None,
    )
