"""Consuming from a durable: overlapping pulls, a bounded buffer, batches to the caller.

One request for many messages is renewed when half of it is used up, so the broker never waits for the client; what is
buffered and requested together never exceeds ``window`` messages. Silence longer than two heartbeats means that the
request is lost (a broker's restart, a cut): it is made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

import msgspec
import nats
from nats.aio.msg import Msg

from pywhatsweb_runtime.bus import Bus

NS = 1_000_000_000


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
        self._buffer: deque[Msg] = deque()
        self._arrived = asyncio.Event()
        self._paused_until = 0.0
        self._inbox = bus.client.new_inbox()
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()

    @property
    def pin(self) -> str | None:
        """The id under which the broker has pinned the priority group to this puller, as far as it was told."""
        return self._pin

    async def batch(self, limit: int = 256) -> list[Msg]:
        """At least one message and at most ``limit``: whatever is there, without waiting for more."""
        while not self._buffer:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
        await self._top_up()
        return taken

    async def ack(self, message: Msg) -> None:
        """Tells the broker that this message (under ``ack_policy: all``, and every one before it) is done with."""
        with contextlib.suppress(nats.errors.Error):
            await self._bus.client.publish(message.reply, b"+ACK")

    async def nak(self, message: Msg, delay_s: float) -> None:
        """Gives a message back, to be delivered again after ``delay_s`` seconds."""
        with contextlib.suppress(nats.errors.Error):
            await self._bus.client.publish(message.reply, b'-NAK {"delay": %d}' % int(delay_s * NS))

    async def _top_up(self) -> None:
        if self._asked > self._window // 2 or self._loop.time() < self._paused_until:
            return
        room = self._window - self._asked - len(self._buffer)
        if room < max(1, self._window // 4):
            return
        body: dict[str, object] = {
            "batch": room,
            "expires": int(self._expires_s * NS),
            "idle_heartbeat": int(self._heartbeat_s * NS),
        }
        if self._group is not None:
            body["group"] = self._group
            if self._pin is not None:
                body["id"] = self._pin
        self._asked += room
        with contextlib.suppress(nats.errors.Error):
            await self._bus.client.publish(self._subject, msgspec.json.encode(body), reply=self._inbox)

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = self._loop.time()
        headers = message.headers
        if (
            headers is not None
            and not message.reply.startswith("$JS.ACK")
            and (status := headers.get("Status")) is not None
        ):
            await self._on_status(status, headers)
            return
        if headers is not None and (pin := headers.get("Nats-Pin-Id")) is not None:
            self._pin = pin
        self._asked = max(0, self._asked - 1)
        self._buffer.append(message)
        self._arrived.set()
        await self._top_up()

    async def _on_status(self, status: str, headers: dict[str, str]) -> None:
        if status == "100":
            return
        self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages") or self._asked))
        if status == "423":
            self._pin = None  # another replica has the pin now
        if status in ("409", "423", "503"):
            self._paused_until = self._loop.time() + 0.1
            self._loop.call_later(0.11, lambda: asyncio.ensure_future(self._top_up()))
            return
        await self._top_up()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s / 2)
            if self._loop.time() - self._heard_at > 2 * self._heartbeat_s + 0.5:
                self._asked = 0
                self._heard_at = self._loop.time()
            await self._top_up()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Puller]:
        """Pulls while the block lasts."""
        subscription = await self._bus.client.subscribe(
            self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        watch = asyncio.create_task(self._watch())
        try:
            await self._top_up()
            yield self
        finally:
            watch.cancel()
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


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
