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
from collections.abc import Awaitable, Callable, Sequence

import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.queued import Queued, from_headers
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import submit_dead_letter, submit_status
from pywhatsweb_runtime import logs, tracing
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Stored
from pywhatsweb_runtime.publisher import PubAck

log = structlog.get_logger(__name__)

_READ = 64
_SETTLE_EVERY = 32
_SCAN = 1000
_INTERRUPTED_S = 2.0
_BROKER_S = 1.0

Futures = list[asyncio.Future[PubAck]]


class Interrupted(Exception):
    """The link is gone or the session is: stop here; the command stays in the queue."""


class Lane:
    """Pumps while open; a task exists only while there is something to do.

    Each `open` begins a new run from the head of the queue. A pump belongs to one run: one that is still busy with a
    command of the last link when the next link opens finishes that command and makes way.
    """

    def __init__(
        self,
        deps: Deps,
        events: FencedEvents,
        perform: Callable[[Queued, Stored], Awaitable[Futures]],
        *,
        head: Callable[[Sequence[Stored]], Awaitable[None]] | None = None,
        durable: Callable[[], Awaitable[None]] | None = None,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """``perform`` does one command and gives the futures of its outcome events; it raises Interrupted.

        ``head`` is given what was queued first when a run begins: an earlier owner or link may have sent it.
        ``durable`` waits for the keys that the sends changed, and raises ConnectionError when their link is gone
        before that: with older keys a later message would use one that its recipient has seen.
        ``settled``: everything performed so far has left the queue.
        """
        self._deps = deps
        self._events = events
        self._perform = perform
        self._head = head
        self._durable = durable
        self._on_settled = settled
        self._stream = streams.outbox_name(events.tenant)
        self._subject = subjects.out(events.tenant, events.session)
        self._next = 1
        self._at_end = False
        """Whether everything stored before the next wake-up was read."""
        self._ready: deque[Stored] = deque()
        self._to_cancel: set[str] = set()
        self._did_cancel: set[str] = set()
        self._looking = asyncio.Lock()
        self._looked: int | None = None
        """The run whose queue's head was looked at."""
        self._dirty = False
        self._open = False
        self._run = 0
        self._paused = False
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def open(self) -> None:
        """The link works: read from the first message that is still there."""
        self._open = True
        self._paused = False
        self._run += 1
        self._next = 1
        self._ready.clear()
        self._at_end = False
        self.wake()

    def close(self) -> None:
        """The link is gone. What is being sent is interrupted by the engine itself."""
        self._open = False

    async def looked(self) -> None:
        """After a takeover or a sleep: which waiting commands a later one cancels, and what may have been sent.

        Once a run, by whoever needs it first: a link tells receipts even before it is open. Raises BrokerUnavailable
        or ApiError.
        """
        if self._looked == self._run:
            return
        async with self._looking:
            run = self._run
            if self._looked == run:
                return
            found = await self._following(1, _SCAN)
            for stored in found:
                self._note_cancel(stored)
            if self._head is not None and found:
                await self._head(found[:_READ])
            self._looked = run

    async def stop(self, grace_s: float = 0.0) -> None:
        """Takes nothing more; what is being done gets so long to end by itself."""
        self.close()
        task = self._task
        if task is None:
            return
        if grace_s:
            await asyncio.wait((task,), timeout=grace_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task

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
        self._start()

    def _start(self) -> None:
        if self._task is None and self._open and not self._paused:
            self._task = asyncio.create_task(self._pump(self._run))

    def _goes_on(self, run: int) -> bool:
        return self._open and run == self._run and not self._paused

    async def _pump(self, run: int) -> None:
        pause = 0.0
        try:
            while self._goes_on(run) and await self._drain(run):
                pass
        except Interrupted:
            # The close of the link is about to be told. Should it not be, the link was fit after all.
            pause = _INTERRUPTED_S
        except (BrokerUnavailable, ApiError) as error:
            log.warning(
                "a queue waits for the broker", error=type(error).__name__, session=self._events.session
            )
            pause = _BROKER_S
        finally:
            self._task = None
            if run != self._run:
                self._start()
        if pause and run == self._run and self._open:
            self._paused = True
            asyncio.get_running_loop().call_later(pause, self._start_over, run)

    def _start_over(self, run: int) -> None:
        if self._open and run == self._run:
            self.open()

    async def _drain(self, run: int) -> bool:
        """Does what is there, in order; whether to look again."""
        self._dirty = False
        await self.looked()
        settled: Futures = []
        last = 0
        count = 0
        try:
            while self._goes_on(run) and (self._ready or await self._read(run)):
                stored = self._ready.popleft()
                settled += await self._one(stored)
                last = stored.sequence
                count += 1
                if count % _SETTLE_EVERY == 0:
                    batch, settled = settled, []
                    through, last = last, 0
                    await self._settle(batch, through)
        finally:
            if last:
                await self._settle(settled, last)
        return self._dirty or bool(self._ready)

    async def _read(self, run: int) -> bool:
        if self._at_end:
            return False
        found = await self._following(self._next, _READ)
        if run != self._run:
            return False
        if found:
            self._ready.extend(found)
            for stored in found:
                self._note_cancel(stored)
            self._next = found[-1].sequence + 1
            return True
        self._at_end = not self._dirty
        return False

    async def _following(self, sequence: int, limit: int) -> list[Stored]:
        """What is queued at or after a sequence.

        On a cluster any replica answers: one that lags lacks the newest, and still has what was acknowledged. So the
        leader is asked where the queue begins.
        """
        if not self._deps.bus.replicated:
            return await self._deps.reader.batch(self._stream, self._subject, sequence, limit=limit)
        first = await self._deps.bus.first_from(self._stream, self._subject, sequence)
        if first is None:
            return []
        found = await self._deps.reader.batch(self._stream, self._subject, first.sequence, limit=limit)
        return found or [first]

    def _note_cancel(self, stored: Stored) -> None:
        target = stored.headers.get("Pww-Target")
        if target and target not in self._did_cancel:
            self._to_cancel.add(target)

    async def _one(self, stored: Stored) -> Futures:
        try:
            queued = from_headers(stored.headers)
        except (KeyError, ValueError):
            log.exception("a queued command has no readable headers; it is skipped", sequence=stored.sequence)
            return await self._set_aside(stored, None, "E_POISON", 1)
        names = {
            "tenant": self._events.tenant,
            "session": self._events.session,
            "command_id": queued.command_id,
            "correlation_id": queued.correlation_id,
        }
        with logs.about(names), tracing.span(queued.verb, queued.traceparent, names):
            return await self._do(queued, stored)

    async def _do(self, queued: Queued, stored: Stored) -> Futures:
        if queued.digest in self._to_cancel:
            self._to_cancel.discard(queued.digest)
            self._did_cancel.add(queued.digest)
            return [await self._status(queued, "cancelled")]
        if queued.expires_at and queued.expires_at <= time.time() * 1000:
            return [await self._status(queued, "expired", "E_EXPIRED")]
        if queued.verb == "cancel":
            return [await self._cancel_outcome(queued)]
        try:
            return await self._perform(queued, stored)
        except (Interrupted, BrokerUnavailable, ApiError):
            raise
        except Exception as error:  # noqa: BLE001 - one command must not hold up all those behind it
            # Not the error's words: they may quote the body.
            log.error("a command cannot be done", error=type(error).__name__)  # noqa: TRY400
            return [
                *await self._set_aside(stored, queued, "E_POISON", 1),
                await self._status(queued, "failed", "E_POISON"),
            ]

    async def _set_aside(self, stored: Stored, queued: Queued | None, code: str, attempts: int) -> Futures:
        return await submit_dead_letter(
            self._deps.publisher, self._events, stored, queued, code=code, attempts=attempts
        )

    async def _cancel_outcome(self, queued: Queued) -> asyncio.Future[PubAck]:
        """Its turn has come: its target was cancelled on the way here, or had been sent before."""
        self._to_cancel.discard(queued.target)
        if queued.target in self._did_cancel:
            self._did_cancel.discard(queued.target)
            return await self._status(queued, "sent")
        return await self._status(queued, "failed", "E_CANCEL_TOO_LATE")

    async def _status(self, queued: Queued, status: str, code: str | None = None) -> asyncio.Future[PubAck]:
        who = self._deps.metrics.who(self._events.tenant, self._events.session)
        self._deps.metrics.messages_out.labels(status, *who).inc()
        return await submit_status(self._events, queued, status, code)

    async def _settle(self, settled: Futures, last: int) -> None:
        """Acknowledges: only once every outcome is in the stream."""
        for future in settled:
            await future  # one that is not in the stream keeps its command in the queue: it is done again
        if self._durable is not None:
            try:
                await self._durable()
            except ConnectionError as error:
                raise Interrupted("the link closed before its keys were stored") from error
        try:
            await self._deps.bus.purge(self._stream, self._subject, below=last + 1)
        except BrokerUnavailable:
            log.warning("a queue could not be acknowledged; its commands may be sent again under their ids")
            return
        if self._on_settled is not None:
            self._on_settled()
