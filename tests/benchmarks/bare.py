"""The bare pipeline: the fleet's way of a message without the fleet, in one process and with a 200-byte body.

Client → CMD → dispatcher (decode) → outbox, a FIFO a session → worker (wake, read, fenced event, purge) → EVT → client.
One stream each and one event a command, where the fleet has a set of streams a tenant and five events a command.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from nats.aio.msg import Msg

from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.direct import Reader, reading
from pywhatsweb_runtime.publisher import Publisher, publishing
from pywhatsweb_runtime.puller import Puller, pulling

NS = 1_000_000_000


class Command(msgspec.Struct):
    session: str
    id: str
    text: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Command).decode
_STREAMS: list[dict[str, Any]] = [
    {"name": "CMD", "subjects": ["cmd.*"], "duplicate_window": 120 * NS},
    {
        "name": "OUT",
        "subjects": ["out.*"],
        "allow_direct": True,
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": 20_000,
        "republish": {"src": "out.*", "dest": "wake.{{wildcard(1)}}", "headers_only": True},
    },
    {
        "name": "EVT",
        "subjects": ["evt.*", "own.*"],
        "republish": {"src": "evt.*", "dest": "told.{{wildcard(1)}}"},
    },
]


class Bare:
    """Made by `running`: everything is in place and `send` may be called."""

    def __init__(self, bus: Bus, publisher: Publisher, reader: Reader, puller: Puller) -> None:
        self._bus = bus
        self._publisher = publisher
        self._reader = reader
        self._puller = puller
        self._owners: dict[str, int] = {}
        self._next: dict[str, int] = {}
        self._dirty: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.done: dict[str, float] = {}

    async def send(self, session: str, name: str) -> None:
        body = _encode(Command(session, name, "x" * 130))
        await self._publisher.submit(f"cmd.{session}", body, {"Nats-Msg-Id": name})

    async def _dispatch(self) -> None:
        while True:
            messages = await self._puller.batch(256)
            stored = []
            for message in messages:
                command = _decode(message.data)
                header = {"Nats-Msg-Id": command.id}
                stored.append(await self._publisher.submit(f"out.{command.session}", message.data, header))
            for future in stored:
                await future
            await self._puller.ack(messages[-1])

    async def _on_wake(self, message: Msg) -> None:
        session = message.subject[5:]
        if session in self._dirty:
            self._dirty[session] = True
            return
        self._dirty[session] = False
        task = asyncio.ensure_future(self._lane(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lane(self, session: str) -> None:
        fence = {
            "Nats-Expected-Last-Subject-Sequence": str(self._owners[session]),
            "Nats-Expected-Last-Subject-Sequence-Subject": f"own.{session}",
        }
        while True:
            self._dirty[session] = False
            found = await self._reader.batch("OUT", f"out.{session}", self._next.get(session, 1), limit=32)
            futures = []
            for stored in found:
                command = _decode(stored.data)
                header = {"Nats-Msg-Id": f"e{command.id}", **fence}
                futures.append(await self._publisher.submit(f"evt.{session}", stored.data, header))
            for future in futures:
                await future
            if found:
                self._next[session] = found[-1].sequence + 1
                await self._bus.purge("OUT", f"out.{session}", below=found[-1].sequence + 1)
            elif not self._dirty[session]:
                break
        del self._dirty[session]

    async def _on_told(self, message: Msg) -> None:
        self.done[_decode(message.data).id] = time.perf_counter()

    async def prepare(self, sessions: list[str]) -> None:
        for session in sessions:
            self._owners[session] = await self._bus.compare_and_set(f"own.{session}", b"", 0, {})
        self._subscriptions = [
            await self._bus.client.subscribe("wake.*", cb=self._on_wake, pending_msgs_limit=-1),
            await self._bus.client.subscribe("told.*", cb=self._on_told, pending_msgs_limit=-1),
        ]
        await self._bus.client.flush()
        self._dispatching = asyncio.ensure_future(self._dispatch())

    async def close(self) -> None:
        while self._dirty:  # noqa: ASYNC110 - the lanes acknowledge what they did
            await asyncio.sleep(0.002)
        self._dispatching.cancel()
        for subscription in self._subscriptions:
            await subscription.unsubscribe()


async def measure(bus: Bus, sessions: list[str], count: int, rate: float | None) -> tuple[float, list[float]]:
    """Commands a second, and each one's milliseconds until its event came back; on streams of its own."""
    for config in _STREAMS:
        await provision.ensure_stream(bus, {"storage": "file", "retention": "limits", **config})
    durable = {"durable_name": "d", "ack_policy": "all", "max_ack_pending": 2048}
    await provision.ensure_consumer(bus, "CMD", durable)
    try:
        async with (
            publishing(bus, in_flight=1024, deadline_s=60) as publisher,
            reading(bus) as reader,
            pulling(bus, "CMD", "d") as puller,
        ):
            bare = Bare(bus, publisher, reader, puller)
            await bare.prepare(sessions)
            sent: dict[str, float] = {}
            began = time.perf_counter()
            for number in range(count):
                name = f"b{number}"
                sent[name] = time.perf_counter()
                await bare.send(sessions[number % len(sessions)], name)
                if rate:
                    await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.perf_counter()))
            while len(bare.done) < count:  # noqa: ASYNC110 - polling costs the pipeline less than an event a message
                await asyncio.sleep(0.002)
            took = max(bare.done.values()) - began
            await bare.close()
            return count / took, [(bare.done[name] - at) * 1e3 for name, at in sent.items()]
    finally:
        for config in _STREAMS:
            await bus.api(f"STREAM.DELETE.{config['name']}")
