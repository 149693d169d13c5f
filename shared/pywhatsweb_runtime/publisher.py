"""Publishing into streams: bounded, pipelined, with a deadline, in order, and in batches where that is cheaper.

nats-py's own asynchronous publish never gives up: after a broker's freeze its futures stay unresolved. Here every
message has a deadline, and what is unacknowledged after a reconnect or a silence is sent again **in the order of the
calls**, under the same ``Nats-Msg-Id``, so the stream drops what it already has and keeps that order. How the messages
of one stream share flushes to disk is `batching`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

import nats
import structlog

from pywhatsweb.contracts.streams import atomic_stream
from pywhatsweb_runtime.batching import Line, Message, PubAck
from pywhatsweb_runtime.bus import MESSAGE_TOO_LARGE, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.connection import Repeated

log = structlog.get_logger(__name__)

__all__ = ["RESEND_AFTER_S", "PubAck", "Publisher", "publishing"]

RESEND_AFTER_S: Final = 2.0
_CHECK_EVERY_S: Final = 0.5
_FORGET_AFTER_S: Final = 60.0
"""A stream's measured times are forgotten when nothing was published to it for so long."""
_BACKLOG_BYTES: Final = 8 * 2**20
"""Bytes that the connection did not take yet, above which submits wait."""
_BATCH_LINES: Final = 128
"""Room for the header lines of a batch."""
_NOT_A_SUBJECT: Final = re.compile(r"\s").search


class Publisher:
    """Made by `publishing`; one a process is enough."""

    def __init__(self, bus: Bus, *, in_flight: int, deadline_s: float) -> None:
        self._bus = bus
        self._room = asyncio.Semaphore(in_flight)
        self._deadline_s = deadline_s
        self._pending: dict[Message, None] = {}
        """What has no verdict yet, in the order of the calls."""
        self._lines: dict[str | None, Line] = {}
        self._tokens: dict[int, Line] = {}
        self._count = itertools.count(1)
        inbox = bus.client.new_inbox()
        self._prefix = inbox + "."
        self._skip = len(self._prefix)
        self._batch_name = inbox.rpartition(".")[2][-32:]
        self._loop = asyncio.get_running_loop()
        self.open = True
        """False while the connection is gone: what nats-py would keep for later would overtake what was lost."""
        self._closed = False

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    async def submit(self, subject: str, data: bytes, headers: dict[str, str]) -> asyncio.Future[PubAck]:
        """Sends, waiting only for room, and gives the future of the acknowledgement.

        ``headers`` must hold a ``Nats-Msg-Id``: the message may be sent again. The future raises ApiError when the
        stream refuses (`QUEUE_FULL`, `WRONG_LAST_SEQUENCE` …) and BrokerUnavailable at the deadline: then the message
        may be in the stream or not. Messages for one stream are stored in the order of the calls.
        """
        if _NOT_A_SUBJECT(subject):
            raise ValueError("a subject holds no white space")
        head = _encode(headers)  # refused here, not when it is sent
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise BrokerUnavailable("the publisher is closed")
        message = Message(
            subject,
            head,
            data,
            self._line(subject),
            deadline=self._loop.time() + self._deadline_s,
            fence=_fence(subject, headers),
            alone="Nats-Rollup" in headers,  # a batch may not hold two of one subject
        )
        self._pending[message] = None
        if len(head) + len(data) + _BATCH_LINES > self._bus.client.max_payload:
            # The broker would cut the connection, again and again.
            self.settled(message)
            message.future.set_exception(
                ApiError(MESSAGE_TOO_LARGE, "the message is above the broker's limit")
            )
            return message.future
        message.line.put(message)
        while self._bus.client.pending_data_size > _BACKLOG_BYTES and not message.future.done():  # noqa: ASYNC110
            await asyncio.sleep(_CHECK_EVERY_S / 50)
        return message.future

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        """`submit`, and waits for the acknowledgement."""
        return await (await self.submit(subject, data, headers))

    def holds_back(self, subject: str) -> bool:
        """Whether what was submitted for the stream of ``subject`` still waits to be sent."""
        line = self._lines.get(atomic_stream(subject))
        return line is not None and line.holds_back

    def _line(self, subject: str) -> Line:
        stream = atomic_stream(subject)
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = Line(self, atomic=stream is not None, name=self._new_batch)
        return line

    # What the lines need (`batching.Way`).

    @property
    def replicated(self) -> bool:
        return self._bus.replicated

    def now(self) -> float:
        return self._loop.time()

    def token(self, line: Line) -> int:
        token = next(self._count)
        self._tokens[token] = line
        return token

    def close_token(self, token: int) -> None:
        self._tokens.pop(token, None)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._loop.call_later(seconds, call)

    def send(self, message: Message, token: int | None, extra: bytes = b"") -> None:
        reply = "" if token is None else f"{self._prefix}{token} "
        head = len(extra) + len(message.head) + 12
        first = f"HPUB {message.subject} {reply}{head} {head + len(message.data)}\r\nNATS/1.0\r\n"
        with contextlib.suppress(nats.errors.Error):
            self._bus.client.write(
                Repeated(b"".join((first.encode(), extra, message.head, b"\r\n", message.data, b"\r\n")))
            )

    def settled(self, message: Message) -> None:
        if message in self._pending:
            del self._pending[message]
            self._room.release()

    # The connection and the clock.

    def _new_batch(self) -> str:
        return f"{self._batch_name}.{next(self._count)}"

    def _on_answer(self, subject: bytes, _reply: bytes, _headers: bytes, data: bytes) -> None:
        token = int(subject[self._skip :])
        line = self._tokens.get(token)
        if line is not None:
            line.answered(token, data)

    def _disconnected(self) -> None:
        self.open = False
        self._bus.client.take_back()

    async def _reconnected(self) -> None:
        self.open = True
        for line in list(self._lines.values()):
            line.again()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            try:
                self._check(self._loop.time())
            except Exception:
                log.exception("the watch over what is unacknowledged failed; it goes on")

    def _check(self, now: float) -> None:
        for message in list(self._pending):
            if message.deadline > now:
                break  # in the order of the calls, so every later one has more time
            self._give_up(message, "no acknowledgement before the deadline")
            message.line.drop(message)
        for stream, line in list(self._lines.items()):
            # What the connection has not taken yet needs no repeating.
            if self.open and not self._bus.client.pending_data_size and line.lost(now - RESEND_AFTER_S):
                line.again()
            elif line.idle_since(now - _FORGET_AFTER_S):
                del self._lines[stream]

    def _give_up(self, message: Message, why: str) -> None:
        self.settled(message)
        if not message.future.done():
            message.future.set_exception(BrokerUnavailable(why))
            message.future.exception()  # nobody may be waiting any more

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        """Listens for acknowledgements while the block lasts."""
        self._bus.on_disconnect.append(self._disconnected)
        self._bus.on_reconnect.append(self._reconnected)
        watch = asyncio.create_task(self._watch())
        try:
            async with self._bus.client.sinking(self._prefix + "*", self._on_answer):
                try:
                    yield self
                finally:
                    watch.cancel()
                    self.open = False
        finally:
            self._bus.on_disconnect.remove(self._disconnected)
            self._bus.on_reconnect.remove(self._reconnected)
            self._closed = True
            for message in list(self._pending):
                self._give_up(message, "the publisher was closed")


def _fence(subject: str, headers: dict[str, str]) -> str | None:
    """The subject whose last sequence is expected; None: the message is not fenced."""
    if "Nats-Expected-Last-Subject-Sequence" not in headers:
        return None
    return headers.get("Nats-Expected-Last-Subject-Sequence-Subject", subject)


def _encode(headers: dict[str, str]) -> bytes:
    """The header lines. Raises ValueError for a value that would end its line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header's value holds a line break")
    return lines.encode()


@contextlib.asynccontextmanager
async def publishing(bus: Bus, *, in_flight: int = 512, deadline_s: float = 10.0) -> AsyncIterator[Publisher]:
    """A `Publisher` for as long as the block lasts."""
    async with Publisher(bus, in_flight=in_flight, deadline_s=deadline_s).running() as publisher:
        yield publisher
