"""A session's lane: its commands out of the outbox, one after the other, to the engine.

The outbox has no consumer (NATS.md): a wake-up tells that something was stored, a direct get reads what comes next, a
purge up to the last settled command acknowledges. While the session is not WORKING nothing is read, so it costs
nothing and its commands wait in JetStream. A wake-up carries the message itself: when it is the very next one, no
read is needed.

A command leaves the queue only when its outcome is in the events stream. A crash before that sends it again, under
the same WhatsApp message id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.queued import Queued, from_headers
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import submit_status
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Stored
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)

_READ = 64
_SETTLE_EVERY = 32
_SCAN = 1000

Futures = list[asyncio.Future[PubAck]]


class Interrupted(Exception):
    """The link is gone or the session is: stop here; the command stays in the queue."""


class Lane:
    """Pumps while open; a task exists only while there is something to do."""

    def __init__(
        self, deps: Deps, events: FencedEvents, perform: Callable[[Queued, Stored], Awaitable[Futures]]
    ) -> None:
        """``perform`` does one command and gives the futures of its outcome events; it raises Interrupted."""
        self._deps = deps
        self._events = events
        self._perform = perform
        self._stream = streams.outbox_name(events.tenant)
        self._subject = subjects.out(events.tenant, events.session)
        self._next = 1
        self._at_end = False
        """Whether everything stored before the next wake-up was read."""
        self._ready: deque[Stored] = deque()
        self._to_cancel: set[str] = set()
        self._did_cancel: set[str] = set()
        self._scanned = False
        self._dirty = False
        self._open = False
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def open(self) -> None:
        """The link works: read from the first message that is still there."""
        self._open = True
        self._next = 1
        self._ready.clear()
        self._at_end = self._scanned = False
        self.wake()

    def close(self) -> None:
        """The link is gone. What is being sent is interrupted by the engine itself."""
        self._open = False

    async def stop(self) -> None:
        self.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task

    def wake(self, stored: Stored | None = None, previous: int = 0) -> None:
        """Something was stored. ``previous``: the sequence before it on this subject, as the broker says."""
        if not self._open:
            return
        if stored is not None:
            self._note_cancel(stored)
            # Only when everything before it was read: what lies between would be skipped otherwise.
            if self._at_end and previous < self._next <= stored.sequence and len(self._ready) < _READ:
                self._ready.append(stored)
                self._next = stored.sequence + 1
            else:
                self._dirty = True
                self._at_end = False
        else:
            self._dirty = True
            self._at_end = False
        if self._task is None:
            self._task = asyncio.create_task(self._pump())

    async def _pump(self) -> None:
        try:
            while self._open and await self._drain():
                pass
        except Interrupted:
            self._open = False
        except (BrokerUnavailable, ApiError) as error:
            log.warning(
                "a queue waits for the broker", error=type(error).__name__, session=self._events.session
            )
            asyncio.get_running_loop().call_later(1.0, self._start_over)
        finally:
            self._task = None

    def _start_over(self) -> None:
        if self._open:
            self.open()

    async def _drain(self) -> bool:
        """Does what is there, in order; whether to look again."""
        self._dirty = False
        if not self._scanned:
            await self._scan_cancels()
        settled: Futures = []
        last = 0
        count = 0
        try:
            while self._open and (self._ready or await self._read()):
                stored = self._ready.popleft()
                settled += await self._one(stored)
                last = stored.sequence
                count += 1
                if count % _SETTLE_EVERY == 0:
                    await self._settle(settled, last)
                    settled, last = [], 0
        finally:
            if last:
                await self._settle(settled, last)
        return self._dirty or bool(self._ready)

    async def _read(self) -> bool:
        if self._at_end:
            return False
        found = await self._deps.reader.batch(self._stream, self._subject, self._next, limit=_READ)
        if found:
            self._ready.extend(found)
            for stored in found:
                self._note_cancel(stored)
            self._next = found[-1].sequence + 1
            return True
        self._at_end = not self._dirty
        return False

    async def _scan_cancels(self) -> None:
        """After a takeover or a sleep: which waiting commands a later one in the queue cancels."""
        self._scanned = True
        for stored in await self._deps.reader.batch(self._stream, self._subject, 1, limit=_SCAN):
            self._note_cancel(stored)

    def _note_cancel(self, stored: Stored) -> None:
        target = stored.headers.get("Pww-Target")
        if target and target not in self._did_cancel:
            self._to_cancel.add(target)

    async def _one(self, stored: Stored) -> Futures:
        try:
            queued = from_headers(stored.headers)
        except (KeyError, ValueError):
            log.exception("a queued command has no readable headers; it is skipped", sequence=stored.sequence)
            return []
        if queued.digest in self._to_cancel:
            self._to_cancel.discard(queued.digest)
            self._did_cancel.add(queued.digest)
            return [await self._status(queued, "cancelled")]
        if queued.expires_at and queued.expires_at <= time.time() * 1000:
            return [await self._status(queued, "expired", "E_EXPIRED")]
        if queued.verb == "cancel":
            return [await self._cancel_outcome(queued)]
        return await self._perform(queued, stored)

    async def _cancel_outcome(self, queued: Queued) -> asyncio.Future[PubAck]:
        """Its turn has come: its target was cancelled on the way here, or had been sent before."""
        self._to_cancel.discard(queued.target)
        if queued.target in self._did_cancel:
            self._did_cancel.discard(queued.target)
            return await self._status(queued, "sent")
        return await self._status(queued, "failed", "E_CANCEL_TOO_LATE")

    async def _status(self, queued: Queued, status: str, code: str | None = None) -> asyncio.Future[PubAck]:
        self._deps.metrics.messages_out.labels(status).inc()
        return await submit_status(self._events, queued, status, code)

    async def _settle(self, settled: Futures, last: int) -> None:
        """Acknowledges: only once every outcome is in the stream."""
        for future in settled:
            await future  # one that is not in the stream keeps its command in the queue: it is done again
        try:
            await self._deps.bus.purge(self._stream, self._subject, below=last + 1)
        except BrokerUnavailable:
            log.warning("a queue could not be acknowledged; its commands may be sent again under their ids")
