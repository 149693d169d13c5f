"""Durable events: JetStream keeps the reader's place, and gives no more than the reader takes.

The consumer is made by the platform (``consumer.create``); the client pulls batches and acknowledges. Each event is
acknowledged when the next one is asked for, so a program that dies in between gets it once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict, deque
from types import TracebackType
from typing import Final, Self

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.client.connection import Link
from pywhatsweb.contracts import codec
from pywhatsweb.contracts.consumer_data import ConsumerInfo
from pywhatsweb.contracts.events import AnyEvent
from pywhatsweb.errors import BrokerError, ErrorCode

log: Final[logging.Logger] = logging.getLogger(__name__)

_EXPIRES_S: Final = 15.0
_SILENCE_S: Final = 3.0
"""Beyond a pull's own end, after which it counts as lost."""
_PAUSE_S: Final = 0.5
_REMEMBERED: Final = 8192
_QUIET: Final = 2
"""Round trips without a message, after which a pull brings no more for now."""


class DurableStream:
    """``async with fleet.durable("crm") as stream: async for event in stream``.

    At most `batch` events are held; JetStream keeps the rest. `sequence` is the stream sequence of the event given
    last. Raises BrokerError(E_CONSUMER_NOT_FOUND) when the consumer is deleted.
    """

    def __init__(self, link: Link, info: ConsumerInfo, batch: int) -> None:
        if batch < 1:
            raise ValueError("batch is 1 or more")
        self.info = info
        self.sequence: int = 0
        self._link = link
        self._batch = batch
        self._pull_subject = f"$JS.API.CONSUMER.MSG.NEXT.{info.stream}.{info.durable}"
        self._held: deque[Msg] = deque()
        self._more = asyncio.Event()
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._round = 0
        self._due = 0
        """What the present pull may still bring."""
        self._pulled_at = 0.0
        self._not_before = 0.0
        self._given: Msg | None = None
        self._done: OrderedDict[int, None] = OrderedDict()
        """Sequences given lately: what comes again although it was dealt with is not given twice."""
        self._error: BrokerError | None = None
        self._ended = False
        self._loop = asyncio.get_running_loop()

    async def open(self) -> Self:
        if self._subscription is None and not self._ended:
            self._inbox = self._link.wire.new_inbox()
            self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._on_message)
            self._link.on_reconnect.append(self._reconnected)
        return self

    async def close(self) -> None:
        """What was given and not acknowledged, and what is held, comes again at once to the next reader."""
        if self._ended:
            return
        self._ended = True
        self._more.set()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            self._link.on_reconnect.remove(self._reconnected)
            with contextlib.suppress(BrokerError):
                await self._receive_rest()
            # Before anything is given back, which else comes right back to this inbox.
            await self._link.unsubscribe(subscription)
            with contextlib.suppress(BrokerError):
                await self._link.flush(2.0)
            for message in [self._given, *self._held]:
                if message is not None:
                    await self._link.publish(message.reply, b"-NAK")
            self._given = None
            with contextlib.suppress(BrokerError):
                await self._link.flush(2.0)

    async def _receive_rest(self) -> None:
        """What the broker is sending of the present pull: without its inbox it would be nobody's, for a minute."""
        quiet = 0
        while self._due > 0 and quiet < _QUIET:
            due = self._due
            await self._link.flush(2.0)
            await asyncio.sleep(0)  # its callback's turn
            quiet = quiet + 1 if self._due == due else 0

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An event whose handling raised, or was cancelled, is not acknowledged.
        if kind is None:
            await self.ack()
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEvent:
        """Acknowledges the event given before, and waits for the next."""
        await self.ack()
        await self.open()
        while True:
            while not self._held:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise StopAsyncIteration
                await self._wait()
            message = self._held.popleft()
            sequence = _sequence(message.reply)
            if sequence in self._done:  # its acknowledgement came too late
                await self._link.publish(message.reply, b"+ACK")
                continue
            try:
                event: AnyEvent = codec.decode(message.data, AnyEvent)
            except msgspec.MsgspecError:
                log.debug("an event is not of this version")
                await self._link.publish(message.reply, b"+TERM")
                continue
            self.sequence = sequence
            self._given = message
            self._done[sequence] = None
            if len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
            return event

    async def ack(self) -> None:
        """Acknowledges the event given last now, instead of when the next is asked for."""
        if self._given is not None:
            given, self._given = self._given, None
            await self._link.publish(given.reply, b"+ACK")

    async def again(self, delay: float = 0.0) -> None:
        """Has the event given last come once more, after so many seconds; it may come after later ones."""
        if self._given is not None:
            given, self._given = self._given, None
            self._done.pop(_sequence(given.reply), None)
            await self._link.publish(given.reply, b'-NAK {"delay": %d}' % int(delay * 1e9))

    async def _wait(self) -> None:
        self._more.clear()  # before the pull, whose answer may come while it is sent
        now = self._loop.time()
        lost = now - self._pulled_at > _EXPIRES_S + _SILENCE_S
        if (self._due <= 0 or lost) and now >= self._not_before and self._link.connected:
            await self._pull()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S if self._due <= 0 else _SILENCE_S):
                await self._more.wait()

    async def _pull(self) -> None:
        self._round += 1
        self._due = self._batch
        self._pulled_at = self._loop.time()
        body = json.dumps({"batch": self._batch, "expires": int(_EXPIRES_S * 1e9)}).encode()
        with contextlib.suppress(Exception):
            await self._link.wire.publish(self._pull_subject, body, reply=f"{self._inbox}.{self._round}")

    async def _on_message(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status") if not message.data else None
        if status is None:
            self._due -= 1
            self._held.append(message)
        elif message.subject.endswith(f".{self._round}"):  # an event comes under its own subject
            self._ended_pull(status, (message.headers or {}).get("Description", ""))
        self._more.set()

    def _ended_pull(self, status: str, description: str) -> None:
        said = description.lower()
        self._due = 0
        if status == "409" and "deleted" in said:
            self._error = BrokerError(ErrorCode.E_CONSUMER_NOT_FOUND)
        elif status not in ("404", "408"):
            # 503: nobody answers now; 409: too many waiting. Neither is for ever.
            self._not_before = self._loop.time() + _PAUSE_S

    def _reconnected(self) -> None:
        self._due = 0
        self._more.set()


def _sequence(reply: str) -> int:
    """The stream sequence in ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.…`` (longer with a domain)."""
    tokens = reply.split(".")
    at = 5 if len(tokens) < 11 else 7
    return int(tokens[at])
