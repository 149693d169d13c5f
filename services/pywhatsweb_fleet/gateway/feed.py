"""A tenant's events, in the stream's order and without a gap, for any number of readers.

The broker's republished events only wake the feed; what it gives is read from the stream, onward from the last
sequence. So nothing that was lost on the way to here (a reconnect, a burst) is lost for a reader. The latest events
stand in one ring for all; a reader that is further behind reads the stream itself. No reader has a buffer of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import nats
import structlog
from nats.aio.msg import Msg

from pywhatsweb.contracts import codec, streams, subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_runtime import lifecycle
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus, Stored
from pywhatsweb_runtime.direct import Reader

log = structlog.get_logger(__name__)

RING_EVENTS: Final = 2048
RING_BYTES: Final = 8 * 2**20
BATCH: Final = 256
READ_BATCH: Final = 64
"""Events that one reader below the ring holds at once."""
READ_BYTES: Final = 2 * 2**20
SWEEP_EVERY_S: Final = 2.0
"""A wake-up may be lost: the stream is looked at anyway."""
_LAG_S: Final = 0.02
"""A replica that answers may be behind the one that woke us."""


class Entry:
    """An event as readers get it."""

    __slots__ = ("_json", "kind", "raw", "sequence", "session")

    def __init__(self, stored: Stored) -> None:
        parts = subjects.parse_event(stored.subject)
        self.sequence = stored.sequence
        self.session = parts.session if parts is not None else ""
        self.kind = parts.kind if parts is not None else ""
        self.raw = stored.data
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The body in JSON, made once for all readers."""
        if self._json is None:
            if codec.form_of(self.raw) == "json":
                self._json = self.raw.replace(b"\r", b"").replace(b"\n", b"")
            else:
                self._json = msgspec.json.encode(msgspec.msgpack.decode(self.raw))
        return self._json


class Wanted(msgspec.Struct, frozen=True):
    """What a reader asked for; None: all."""

    sessions: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def has(self, entry: Entry) -> bool:
        return (self.sessions is None or entry.session in self.sessions) and (
            self.types is None or entry.kind in self.types
        )

    def subject(self, tenant: TenantId) -> str:
        """The narrowest one that covers it."""
        session = next(iter(self.sessions)) if self.sessions is not None and len(self.sessions) == 1 else "*"
        kind = next(iter(self.types)) if self.types is not None and len(self.types) == 1 else "*"
        return subjects.event(tenant, SessionId(session), kind, ChatKey("*"))


class Feed:
    """Made by `Feeds.open`; runs while it has readers."""

    def __init__(self, bus: Bus, reader: Reader, tenant: TenantId) -> None:
        self._bus = bus
        self._reader = reader
        self.tenant = tenant
        self.stream = streams.events_name(tenant)
        self._all = Wanted().subject(tenant)
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self.floor = 0
        """The ring has every event after it."""
        self.last = 0
        """The newest event that was read."""
        self._heard = 0
        """The newest event that the broker told of."""
        self._woken = asyncio.Event()
        self._tick: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.readers = 0
        self.ready = asyncio.Event()
        self.failed: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            await lifecycle.end(self._task)

    async def changed(self, seconds: float) -> None:
        """Until something new is there, or for so long."""
        await asyncio.wait((self._tick,), timeout=seconds)

    def since(self, position: int) -> list[Entry]:
        """What the ring has after `position`, which must not lie below the floor."""
        ring = self._ring
        if not ring or ring[-1].sequence <= position:
            return []
        below = ring[0].sequence > position
        at = 0 if below else bisect_right(ring, position, key=lambda entry: entry.sequence)
        return [ring[i] for i in range(at, min(len(ring), at + BATCH))]

    async def start_after(self, asked: int | None) -> tuple[int, int | None]:
        """Where a reader begins, and the stream's end when it asks for what lies beyond: then it is another stream."""
        if asked is None or asked <= self.last:
            return (self.last if asked is None else asked), None
        # Another gateway may have read further than we have yet.
        state = (await self._bus.api(f"STREAM.INFO.{self.stream}"))["state"]
        end = int(state["last_seq"])
        return (asked, None) if asked <= end else (end, end)

    async def read(self, wanted: Wanted, position: int) -> list[Entry]:
        """From the stream, below the ring; an empty list only when there is truly nothing after `position`."""
        subject = wanted.subject(self.tenant)
        found = await self._batch(subject, position + 1, READ_BATCH)
        if not found:  # a replica may be behind; the leader is not
            first = await self._bus.first_from(self.stream, subject, position + 1)
            found = [first] if first is not None else []
        return [Entry(stored) for stored in found]

    async def _batch(self, subject: str, sequence: int, limit: int) -> list[Stored]:
        body = {"batch": limit, "max_bytes": READ_BYTES, "seq": sequence, "next_by_subj": subject}
        return await self._reader.ask(self.stream, body)

    async def _run(self) -> None:
        try:
            async with self._listening():
                state = (await self._bus.api(f"STREAM.INFO.{self.stream}"))["state"]
                self.floor = self.last = int(state["last_seq"])
                self.ready.set()
                while True:
                    self._woken.clear()
                    await self._catch_up()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SWEEP_EVERY_S):
                            await self._woken.wait()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - readers are told, and come again
            self.failed = error
            log.warning(
                "a feed of events ended", tenant=self.tenant, error=f"{type(error).__name__}: {error}"
            )
        finally:
            self.ready.set()
            self._tell()

    async def _catch_up(self) -> None:
        patience = 10
        while True:
            try:
                found = await self._batch(self._all, self.last + 1, BATCH)
            except (BrokerUnavailable, ApiError) as error:
                log.info("the stream could not be read; once more", tenant=self.tenant, error=str(error))
                await asyncio.sleep(0.5)
                continue
            if found:
                self._take(found)
            elif self._heard > self.last and patience:
                patience -= 1
                await asyncio.sleep(_LAG_S)
            else:
                self._heard = 0  # what was told of is not there any more (purged)
                return

    def _take(self, found: list[Stored]) -> None:
        for stored in found:
            self._ring.append(Entry(stored))
            self._bytes += len(stored.data)
        self.last = found[-1].sequence
        while len(self._ring) > RING_EVENTS or (self._bytes > RING_BYTES and len(self._ring) > 1):
            dropped = self._ring.popleft()
            self._bytes -= len(dropped.raw)
            self.floor = dropped.sequence
        self._tell()

    def _tell(self) -> None:
        tick, self._tick = self._tick, asyncio.get_running_loop().create_future()
        tick.set_result(None)

    async def _on_event(self, message: Msg) -> None:
        sequence = (message.headers or {}).get("Nats-Sequence", "")
        if sequence.isdigit():
            self._heard = max(self._heard, int(sequence))
        self._woken.set()

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        subscription = await self._bus.client.subscribe(self._all, cb=self._on_event)
        try:
            await self._bus.client.flush()
            yield
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()


class Feeds:
    """A feed a tenant, as long as somebody reads."""

    def __init__(self, bus: Bus, reader: Reader) -> None:
        self._bus = bus
        self._reader = reader
        self._feeds: dict[TenantId, Feed] = {}

    @contextlib.asynccontextmanager
    async def open(self, tenant: TenantId) -> AsyncIterator[Feed]:
        """Raises what kept the feed from starting."""
        feed = self._feeds.get(tenant)
        if feed is None or feed.failed is not None:
            feed = self._feeds[tenant] = Feed(self._bus, self._reader, tenant)
            feed.start()
        feed.readers += 1
        try:
            await feed.ready.wait()
            if feed.failed is not None:
                raise feed.failed
            yield feed
        finally:
            feed.readers -= 1
            if not feed.readers:
                if self._feeds.get(tenant) is feed:
                    del self._feeds[tenant]
                await feed.stop()
