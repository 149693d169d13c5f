"""Publishing into streams: bounded, pipelined, with a deadline, in order.

nats-py's own asynchronous publish never gives up: after a broker's freeze its futures stay unresolved. Here every
message has a deadline, and what is unacknowledged after a reconnect or a silence is sent again **in the order of the
calls**, under the same ``Nats-Msg-Id``, so the stream drops what it already has and keeps that order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import nats
from nats.aio.msg import Msg

from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus

RESEND_AFTER_S: Final = 2.0
_CHECK_EVERY_S: Final = 0.5


class PubAck(msgspec.Struct, frozen=True):
    """Where the message is; ``duplicate``: the stream had its ``Nats-Msg-Id`` already (``seq`` is the first one's)."""

    stream: str
    seq: int
    duplicate: bool = False


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Pending:
    __slots__ = ("data", "deadline", "future", "headers", "sent_at", "subject")

    def __init__(
        self, subject: str, data: bytes, headers: dict[str, str], *, now: float, deadline: float
    ) -> None:
        self.subject = subject
        self.data = data
        self.headers = headers
        self.future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        self.sent_at = now
        self.deadline = deadline


class Publisher:
    """Made by `publishing`; one a process is enough."""

    def __init__(self, bus: Bus, *, in_flight: int, deadline_s: float) -> None:
        self._bus = bus
        self._room = asyncio.Semaphore(in_flight)
        self._deadline_s = deadline_s
        self._pending: dict[str, _Pending] = {}
        self._count = 0
        self._prefix = bus.client.new_inbox() + "."
        self._skip = len(self._prefix)
        self._loop = asyncio.get_running_loop()
        self._resend_lock = asyncio.Lock()

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    async def submit(self, subject: str, data: bytes, headers: dict[str, str]) -> asyncio.Future[PubAck]:
        """Sends, waiting only for room, and gives the future of the acknowledgement.

        ``headers`` must hold a ``Nats-Msg-Id``: the message may be sent again. The future raises ApiError when the
        stream refuses (`QUEUE_FULL`, `WRONG_LAST_SEQUENCE` …) and BrokerUnavailable at the deadline: then the message
        may be in the stream or not. Messages of one caller are stored in the order of the calls.
        """
        await self._room.acquire()
        self._count += 1
        token = str(self._count)
        now = self._loop.time()
        pending = _Pending(subject, data, headers, now=now, deadline=now + self._deadline_s)
        self._pending[token] = pending
        if not self._resend_lock.locked():
            # While older messages are being sent again, a new one waits its turn: that keeps the order.
            with contextlib.suppress(nats.errors.Error):
                await self._bus.client.publish(subject, data, reply=self._prefix + token, headers=headers)
        return pending.future

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        """`submit`, and waits for the acknowledgement."""
        return await (await self.submit(subject, data, headers))

    async def _on_ack(self, message: Msg) -> None:
        pending = self._pending.pop(message.subject[self._skip :], None)
        if pending is None:
            return
        self._room.release()
        if pending.future.done():
            return
        if not message.data:
            # No responders: the stream is not there (yet, or on a node without JetStream).
            pending.future.set_exception(BrokerUnavailable("no stream takes this subject"))
            return
        try:
            answer = _decode(message.data)
        except msgspec.DecodeError:
            pending.future.set_exception(BrokerUnavailable("the broker's answer does not decode"))
            return
        if answer.error is not None:
            pending.future.set_exception(ApiError(answer.error.err_code, answer.error.description))
        else:
            pending.future.set_result(PubAck(answer.stream, answer.seq, answer.duplicate))

    async def _resend(self, older_than: float) -> None:
        """Sends again everything unacknowledged, oldest first, once the oldest has waited since ``older_than``."""
        if self._resend_lock.locked():
            return
        async with self._resend_lock:
            sent: set[str] = set()
            while True:
                todo = [(token, p) for token, p in self._pending.items() if token not in sent]
                if not todo or (not sent and todo[0][1].sent_at > older_than):
                    return
                for token, pending in todo:
                    sent.add(token)
                    if token not in self._pending:
                        continue
                    pending.sent_at = self._loop.time()
                    with contextlib.suppress(nats.errors.Error):
                        await self._bus.client.publish(
                            pending.subject, pending.data, reply=self._prefix + token, headers=pending.headers
                        )

    async def _reconnected(self) -> None:
        await self._resend(self._loop.time())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            now = self._loop.time()
            for token, pending in list(self._pending.items()):
                if pending.deadline > now:
                    break  # in the order of the calls, so every later one has more time
                del self._pending[token]
                self._room.release()
                if not pending.future.done():
                    pending.future.set_exception(BrokerUnavailable("no acknowledgement before the deadline"))
            if self._bus.client.is_connected:
                await self._resend(now - RESEND_AFTER_S)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        """Listens for acknowledgements while the block lasts."""
        subscription = await self._bus.client.subscribe(
            self._prefix + "*", cb=self._on_ack, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._bus.on_reconnect.append(self._reconnected)
        watch = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watch.cancel()
            self._bus.on_reconnect.remove(self._reconnected)
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
            for pending in self._pending.values():
                if not pending.future.done():
                    pending.future.set_exception(BrokerUnavailable("the publisher was closed"))
                    pending.future.exception()  # nobody may be waiting any more


@contextlib.asynccontextmanager
async def publishing(bus: Bus, *, in_flight: int = 512, deadline_s: float = 10.0) -> AsyncIterator[Publisher]:
    """A `Publisher` for as long as the block lasts."""
    async with Publisher(bus, in_flight=in_flight, deadline_s=deadline_s).running() as publisher:
        yield publisher
