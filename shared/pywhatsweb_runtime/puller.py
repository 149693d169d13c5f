"""Consuming from a durable: overlapping pulls, a bounded buffer, batches to the caller.

One request for many messages is renewed when half of it is used up, so the broker never waits for the client; what is
buffered and requested together never exceeds ``window`` messages. Silence longer than two heartbeats means that the
request is lost (a broker's restart, a cut): it is made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec
import nats

from pywhatsweb_runtime import headers
from pywhatsweb_runtime.bus import Bus

NS = 1_000_000_000


class Delivery:
    """A message of a durable; its headers are parsed when asked for."""

    __slots__ = ("_headers", "data", "reply", "subject")

    def __init__(self, subject: str, reply: str, block: bytes, data: bytes) -> None:
        self.subject = subject
        self.reply = reply
        self.data = data
        self._headers = block

    @property
    def headers(self) -> dict[str, str]:
        return headers.parse_block(self._headers)

    @property
    def stored_at(self) -> float:
        """Seconds since 1970: the stream's time stamp, the last but one token of the reply's subject."""
        return int(self.reply.rsplit(".", 2)[1]) / NS


class Puller:
    """Made by `pulling`."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        *,
        window: int,
        group: str | None,
        expires_s: float,
        heartbeat_s: float,
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._window = window
        self._group = group
        self._expires_s = expires_s
        self._heartbeat_s = heartbeat_s
        self._pin: str | None = None
        self._asked = 0
        self._buffer: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._wanted = 1
        self._taking = asyncio.Lock()
        self._paused_until = 0.0
        self._over = False
        self._inbox = bus.client.new_inbox()
        self._end: Callable[[], Awaitable[None]]
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()

    @property
    def pin(self) -> str | None:
        """The id under which the broker has pinned the priority group to this puller, as far as it was told."""
        return self._pin

    async def batch(self, limit: int = 256, *, fill_s: float = 0.0) -> list[Delivery]:
        """At least one message and at most ``limit``: whatever is there, or comes within ``fill_s`` seconds."""
        async with self._taking:
            await self._until(1)
            if fill_s > 0 and len(self._buffer) < limit:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(fill_s):
                        await self._until(limit)
            taken = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
        self._top_up()
        return taken

    async def _until(self, count: int) -> None:
        """``count`` messages are there."""
        while len(self._buffer) < count:
            self._wanted = count
            self._arrived.clear()
            await self._arrived.wait()

    async def ack(self, message: Delivery) -> None:
        """Tells the broker that this message (under ``ack_policy: all``, and every one before it) is done with."""
        self.acks([message])

    def acks(self, messages: Iterable[Delivery]) -> None:
        """The same of many; a lost one is delivered again."""
        self._write(b"".join([b"PUB %b 4\r\n+ACK\r\n" % message.reply.encode() for message in messages]))

    async def nak(self, message: Delivery, delay_s: float) -> None:
        """Gives a message back, to be delivered again after ``delay_s`` seconds."""
        body = b'-NAK {"delay": %d}' % int(delay_s * NS)
        self._write(b"PUB %b %d\r\n%b\r\n" % (message.reply.encode(), len(body), body))

    def take_back(self, messages: Iterable[Delivery]) -> None:
        """What was handed out and will not be done here after all is for `give_back` too."""
        self._buffer.extend(messages)

    async def give_back(self) -> None:
        """Pulls no more; gives back what was not handed out, so that others need not wait until it times out."""
        self._over = True
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await self._end()
        for message in self._buffer:
            await self.nak(message, 0)
        self._buffer.clear()

    def _write(self, command: bytes) -> None:
        with contextlib.suppress(nats.errors.Error):
            self._bus.client.write(command)

    def _top_up(self) -> None:
        if self._over or self._asked > self._window // 2 or self._loop.time() < self._paused_until:
            return
        room = self._window - self._asked - len(self._buffer)
        if room < max(1, self._window // 4):
            return
        wish: dict[str, object] = {
            "batch": room,
            "expires": int(self._expires_s * NS),
            "idle_heartbeat": int(self._heartbeat_s * NS),
        }
        if self._group is not None:
            wish["group"] = self._group
            if self._pin is not None:
                wish["id"] = self._pin
        self._asked += room
        body = msgspec.json.encode(wish)
        self._write(f"PUB {self._subject} {self._inbox} {len(body)}\r\n".encode() + body + b"\r\n")

    def _on_message(self, subject: bytes, reply: bytes, block: bytes, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if block and not reply.startswith(b"$JS.ACK"):
            told = headers.parse_block(block)
            if (status := told.get("Status")) is not None:
                self._on_status(status, told)
                return
        if self._group is not None and b"Nats-Pin-Id" in block:
            self._pin = headers.parse_block(block).get("Nats-Pin-Id", self._pin)
        self._asked = max(0, self._asked - 1)
        self._buffer.append(Delivery(subject.decode(), reply.decode(), block, data))
        if len(self._buffer) >= self._wanted:
            self._arrived.set()
        self._top_up()

    def _on_status(self, status: str, told: dict[str, str]) -> None:
        if status == "100":
            return
        self._asked = max(0, self._asked - int(told.get("Nats-Pending-Messages") or self._asked))
        if status == "423":
            self._pin = None  # another replica has the pin now
        if status in ("409", "423", "503"):
            self._paused_until = self._loop.time() + 0.1
            self._loop.call_later(0.11, self._top_up)
            return
        self._top_up()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s / 2)
            if self._loop.time() - self._heard_at > 2 * self._heartbeat_s + 0.5:
                self._asked = 0
                self._heard_at = self._loop.time()
            self._top_up()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Puller]:
        """Pulls while the block lasts."""
        async with self._bus.client.sinking(self._inbox, self._on_message) as self._end:
            watch = asyncio.create_task(self._watch())
            try:
                self._top_up()
                yield self
            finally:
                watch.cancel()


@contextlib.asynccontextmanager
async def pulling(
    bus: Bus,
    stream: str,
    consumer: str,
    *,
    window: int = 512,
    group: str | None = None,
    expires_s: float = 30.0,
    heartbeat_s: float = 5.0,
) -> AsyncIterator[Puller]:
    """A `Puller` for as long as the block lasts; messages that it still holds then are delivered again later."""
    puller = Puller(
        bus, stream, consumer, window=window, group=group, expires_s=expires_s, heartbeat_s=heartbeat_s
    )
    async with puller.running():
        yield puller
