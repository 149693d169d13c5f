"""Doing one command: pace, send under its stable id, wait for WhatsApp's acknowledgement."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from pywhatsweb.contracts.places import place_of
from pywhatsweb.contracts.queued import Queued
from pywhatsweb.errors import get_retryable_errors
from pywhatsweb_fleet.session_worker.attaching import SLOWEST, Attached, Attaching
from pywhatsweb_fleet.session_worker.audience import Audience, patience_s
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.forwarding import Forwarding
from pywhatsweb_fleet.session_worker.lane import Futures, Interrupted
from pywhatsweb_fleet.session_worker.pacing import Pacer
from pywhatsweb_fleet.session_worker.telling import SENDS, Flight, Telling
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import Stored

TRIES = 3
_LINK_LOST = frozenset(
    ("E_CONNECTION_LOST", "E_SESSION_NOT_READY", "E_SIDECAR_CRASHED", "E_ENGINE_UNAVAILABLE")
)
"""It did not fail: it is done again when there is a link."""
_RETRYABLE = frozenset(code.wire for code in get_retryable_errors()) - _LINK_LOST
_LIMITED = "E_WHATSAPP_REACHOUT_LIMITED"
_MOST_INTERRUPTIONS = 10
_REMEMBERED = 1000


class Sending:
    """Of one session; `perform` is called by its lane, one command at a time."""

    def __init__(
        self,
        deps: Deps,
        events: FencedEvents,
        telling: Telling,
        attaching: Attaching,
        pacer: Pacer,
        *,
        audience: Audience,
        link: Callable[[], port.EngineSession | None],
    ) -> None:
        self.pacer = pacer
        self.ack_timeout_s = deps.settings.ack_timeout_s
        self._deps = deps
        self._events = events
        self._telling = telling
        self._attaching = attaching
        self._forwarding = Forwarding(deps, events)
        self._audience = audience
        self._link = link
        self._interruptions: OrderedDict[str, int] = OrderedDict()

    async def perform(self, queued: Queued, stored: Stored) -> Futures:
        """The futures of the outcome's events. Raises Interrupted when the link is gone: the command stays queued."""
        futures = await self._telling.again(queued)
        if futures is None:
            futures = await self._do(self._telling.begin(queued, stored))
            self._interruptions.pop(queued.digest, None)
        self._telling.performed(queued)
        return futures

    async def _do(self, flight: Flight) -> Futures:
        if flight.queued.verb in SENDS:
            if await self._telling.cold.holds(flight.queued):
                return await self._failed(flight, port.EngineError(_LIMITED, "held"), 1)
            if await self._opted_out(flight):
                return await self._failed(flight, port.EngineError("E_CONTACT_OPTED_OUT", "opted out"), 1)
        with self._telling.under_way(flight):
            for attempt in range(1, TRIES + 1):
                try:
                    done = await self._act(flight)
                except port.EngineError as error:
                    if (futures := await self._refused(flight, error, attempt)) is not None:
                        return futures
                else:
                    return await self._taken(flight, done)
        raise AssertionError("unreachable: the last try returns")

    async def _opted_out(self, flight: Flight) -> bool:
        of, marketing = self._events, flight.body.get("purpose") == "marketing"
        try:
            return await self._deps.optouts.forbid(
                of.tenant, of.key, of.session, flight.queued, marketing=marketing
            )
        except StorageUnavailable as error:
            raise Interrupted("the record of opt-outs does not answer") from error

    async def _act(self, flight: Flight) -> port.Done | None:
        """What WhatsApp acknowledged; None: nothing, in time. Raises EngineError and Interrupted."""
        body = await self._prepare(flight)
        link = await self._paced()
        started = time.monotonic()
        act = asyncio.ensure_future(link.act(_action(flight.queued, body, self.pacer, flight.attached)))
        patience = self.ack_timeout_s + _upload_s(flight.attached) + patience_s(flight.queued, body)
        try:
            with tracing.following("whatsapp", tracing.current()):
                async with asyncio.timeout(patience):
                    done = await asyncio.shield(act)
        except TimeoutError:
            act.add_done_callback(functools.partial(self._telling.acknowledged_late, flight))
            return None
        except asyncio.CancelledError:
            act.cancel()
            raise
        took_s = time.monotonic() - started
        self._deps.metrics.send_latency.observe(took_s)
        self._telling.figures.sent(took_s)
        if isinstance(done.data, dict) and "upload_ms" in done.data:
            self._deps.metrics.media_upload.labels("whatsapp").observe(done.data["upload_ms"] / 1000)
        return done

    async def _taken(self, flight: Flight, done: port.Done | None) -> Futures:
        if done is None:
            return await self._telling.unknown(flight)
        return await self._telling.acknowledged(flight, done)

    async def _prepare(self, flight: Flight) -> Mapping[str, Any]:
        """The body as the engine takes it; what is forwarded and the file are the flight's from now on."""
        queued = flight.queued
        try:
            if queued.verb == "forward" and "type" not in flight.body:
                flight.body = await self._forwarding.resolve(flight.body)
            body = await self._audience.resolve(queued, flight.body)
            flight.attached = await self._attaching.prepare(queued, flight.body)
        except port.EngineError as error:
            if queued.verb == "send":
                self._deps.metrics.media_failures.labels("send", error.code).inc()
            raise
        return body

    async def _refused(self, flight: Flight, error: port.EngineError, attempt: int) -> Futures | None:
        """What comes of an error; None: it is tried again. Raises Interrupted."""
        if error.code == "E_ACK_TIMEOUT":
            return await self._telling.unknown(flight)
        if error.uncertain or error.code in _LINK_LOST:
            return await self._interrupted(flight, error)
        if error.code in _RETRYABLE and attempt < TRIES:
            await asyncio.sleep(self._deps.settings.retry_pause_s)
            return None
        return await self._failed(flight, error, attempt)

    async def _failed(self, flight: Flight, error: port.EngineError, attempt: int) -> Futures:
        if error.code == _LIMITED:
            await self._telling.cold.begin()
        return await self._telling.failed(flight, error, tried=attempt if error.code in _RETRYABLE else 0)

    async def _paced(self) -> port.EngineSession:
        wait = self.pacer.delay(time.monotonic())
        if wait > 0:
            await asyncio.sleep(wait)
        link = self._link()
        if link is None:
            raise Interrupted("the link is closed")
        return link

    async def _interrupted(self, flight: Flight, error: port.EngineError) -> Futures:
        """The link went while it was under way: it stays queued and is sent again under the same id.

        A message that every new link dies of must not hold the queue for ever: after ten times it is `unknown`.
        """
        digest = flight.queued.digest
        count = self._interruptions[digest] = self._interruptions.get(digest, 0) + 1
        if len(self._interruptions) > _REMEMBERED:
            self._interruptions.popitem(last=False)
        if count >= _MOST_INTERRUPTIONS:
            return await self._telling.unknown(flight, "E_CONNECTION_LOST")
        raise Interrupted(error.code)


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
