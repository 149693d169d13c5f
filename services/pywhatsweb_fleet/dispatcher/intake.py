"""One durable, consumed in order by the replica that has its pin: batches out, cumulative acks and purges back.

Handling is in three steps, each of which waits for somebody else's disk, so that batches overlap: ``handle`` decides
and claims; what it returns puts the batch into its queues, in order and one batch after the other; what that returns
is over when every outcome is stored. Only then is the batch acknowledged, and later purged from the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.dispatcher.ordering import Sequencer
from pywhatsweb_fleet.dispatcher.reading import Raw
from pywhatsweb_fleet.dispatcher.stalls import StallWatch, clock
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus, Stored
from pywhatsweb_runtime.puller import Delivery, Puller, pulling

log = structlog.get_logger(__name__)

Fresh = Callable[[], Awaitable[bool]]
Settled = Awaitable[None]
Dispatch = Callable[[Fresh], Awaitable[Settled]]
"""Raises Stale, having published nothing, unless the batch is fresh."""
Handle = Callable[[list[Raw]], Awaitable[Dispatch]]

BATCH = 256
_SETTLING = 4
"""Batches whose outcomes are being stored while the next one is dispatched."""
_GAP_CHECK_S = 0.25
_LOST_S = 6.0
"""A message still missing after two of its ack waits is read from the stream instead."""
_PURGE_EVERY_S = 2.0
_PURGE_EVERY = 500
_PAUSE_S = (0.5, 5.0)
"""After a failure, and at most after several in a row."""


class Stale(Exception):
    """Another replica may have taken over while this one held the batch; nothing of it was published."""


class Recreated(Exception):
    """A message is younger than what was handled, and its sequence lower: this is another stream of the same name."""


class Taken(NamedTuple):
    raw: Raw
    message: Delivery | None
    """None: read from the stream, so there is nothing to acknowledge it by."""


class Intake:
    """``subject``: what the durable's messages look like. ``after_s``: how long others may pull first."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        subject: str,
        *,
        handle: Handle,
        stalls: StallWatch,
        stale_after_s: float,
        after_s: float = 0,
    ) -> None:
        self._bus = bus
        self._after_s = after_s
        self._stream = stream
        self._subject = subject
        self._handle = handle
        self._stalls = stalls
        self._stale_after_s = stale_after_s
        self._order: Sequencer[Taken] = Sequencer()
        self._verified = stalls.count()
        self._stuck_since: float | None = None
        self._dispatching: asyncio.Task[None] | None = None
        self._settling: deque[asyncio.Task[None]] = deque()
        self._newest_ms = 0
        self._acked = 0
        self._purged = 0
        self.stopping = asyncio.Event()
        self._puller: Puller | None = None

    @property
    def pinned(self) -> bool:
        """Whether this replica was given the pin, as far as it was told."""
        return self._puller is not None and self._puller.pin is not None

    async def serve(self) -> None:
        """Until `stopping` is set and what was taken is settled; then the pin is given back."""
        pause = _PAUSE_S[0]
        if self._after_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), self._after_s)
        async with pulling(
            self._bus, self._stream, streams.DISPATCHER, group=streams.DISPATCHER, expires_s=4, heartbeat_s=1
        ) as puller:
            self._puller = puller
            purging = asyncio.create_task(self._purge_for_ever())
            try:
                while not self.stopping.is_set():
                    began = clock()
                    try:
                        await self._run(puller)
                    except Stale:
                        log.warning("a batch was given up after a stall", stream=self._stream)
                    except Recreated:
                        log.warning("the stream was made anew", stream=self._stream)
                    except (ApiError, BrokerUnavailable, StorageUnavailable) as error:
                        log.warning("cannot dispatch; trying again", error=type(error).__name__)
                    except Exception:
                        # Whatever it was, the messages are still in the stream and this tenant alone waits.
                        log.exception("dispatching failed; trying again")
                    await self._reset()
                    if not self.stopping.is_set():
                        pause = _PAUSE_S[0] if clock() - began > 30 else min(pause * 2, _PAUSE_S[1])
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self.stopping.wait(), pause)
            finally:
                purging.cancel()
                for task in (self._dispatching, *self._settling):
                    if task is not None:
                        task.cancel()
            await self._leave(puller)

    async def _run(self, puller: Puller) -> None:
        while not self.stopping.is_set():
            messages = await self._messages(puller)
            self._raise_failed()
            old: Delivery | None = None
            for message in messages:
                raw = _raw(message)
                if not self._order.offer(raw.sequence, Taken(raw, message)):
                    if raw.stored_ms > self._newest_ms:
                        raise Recreated
                    old = message
            if self._stalls.count() != self._verified and not await self._still_ours(puller):
                raise Stale
            batch = self._order.take(BATCH)
            if not batch and self._order.stuck:
                await self._mind_the_gap(puller)
                batch = self._order.take(BATCH)
            if not batch and old is not None and not self._settling:
                # Only what was done already: its ack was lost.
                await puller.ack(old)
            while batch and not self.stopping.is_set():
                self._stuck_since = None
                await self._dispatch(puller, batch)
                batch = self._order.take(BATCH)

    async def _messages(self, puller: Puller) -> list[Delivery]:
        """What came; nothing after a while when a gap wants to be looked at, or when it is time to stop."""
        waiting = asyncio.ensure_future(puller.batch(BATCH))
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait(
                (waiting, stop),
                timeout=_GAP_CHECK_S if self._order.stuck else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return waiting.result() if waiting.done() else []
        finally:
            waiting.cancel()
            stop.cancel()

    async def _dispatch(self, puller: Puller, batch: list[Taken]) -> None:
        count, taken_at = self._stalls.count(), clock()
        self._newest_ms = max(self._newest_ms, batch[-1].raw.stored_ms)

        async def fresh() -> bool:
            if self._stalls.count() == count and clock() - taken_at <= self._stale_after_s:
                return True
            return await self._still_ours(puller)

        dispatch = await self._handle([taken.raw for taken in batch])
        if self._dispatching is not None:
            await self._dispatching
        self._dispatching = asyncio.create_task(self._queue(dispatch, fresh, puller, batch))

    async def _queue(self, dispatch: Dispatch, fresh: Fresh, puller: Puller, batch: list[Taken]) -> None:
        settled = await dispatch(fresh)
        last = next((taken.message for taken in reversed(batch) if taken.message is not None), None)
        before = self._settling[-1] if self._settling else None
        self._settling.append(
            asyncio.create_task(self._settle(before, settled, puller, last, batch[-1].raw.sequence))
        )
        while len(self._settling) > _SETTLING:
            await self._settling.popleft()

    async def _settle(
        self,
        before: asyncio.Task[None] | None,
        settled: Settled,
        puller: Puller,
        last: Delivery | None,
        sequence: int,
    ) -> None:
        if before is not None:
            await before
        await settled
        if last is not None:
            await puller.ack(last)
            self._acked = sequence

    def _raise_failed(self) -> None:
        if self._dispatching is not None and self._dispatching.done():
            self._dispatching.result()
        while self._settling and self._settling[0].done():
            self._settling.popleft().result()

    async def _still_ours(self, puller: Puller) -> bool:
        """Whether this replica has the pin, by the broker's word; what others have acknowledged is skipped then."""
        count = self._stalls.count()
        info = await self._bus.api(f"CONSUMER.INFO.{self._stream}.{streams.DISPATCHER}")
        groups = info.get("priority_groups") or []
        pinned = next((group.get("pinned_client_id") for group in groups), None)
        self._order.begin(int(info["ack_floor"]["stream_seq"]) + 1)
        if pinned is None or pinned != puller.pin:
            return False
        self._verified = count
        return True

    async def _mind_the_gap(self, puller: Puller) -> None:
        now = clock()
        if self._stuck_since is None:
            self._stuck_since = now
        await self._still_ours(puller)
        if not self._order.stuck or self._order.next is None:
            return
        present = await self._bus.first_from(self._stream, self._subject, self._order.next)
        if present is None:
            return
        if present.sequence > self._order.next:
            self._order.begin(present.sequence)
        elif now - self._stuck_since > _LOST_S:
            log.warning("a message is not delivered; reading it from the stream", sequence=present.sequence)
            self._order.offer(present.sequence, Taken(_stored(present), None))

    async def _reset(self) -> None:
        """Nothing that is not acknowledged counts as done any more: it is delivered again."""
        if self._dispatching is not None:
            with contextlib.suppress(Exception):
                await self._dispatching
        self._dispatching = None
        for task in self._settling:
            with contextlib.suppress(Exception):
                await task
        self._settling.clear()
        self._order = Sequencer()
        self._stuck_since = None
        self._newest_ms = self._acked = self._purged = 0

    async def _leave(self, puller: Puller) -> None:
        """Gives the pin back, so that the next replica need not wait for it to expire."""
        with contextlib.suppress(ApiError, BrokerUnavailable):
            if await self._still_ours(puller):
                await self._bus.api(
                    f"CONSUMER.UNPIN.{self._stream}.{streams.DISPATCHER}",
                    {"group": streams.DISPATCHER},
                    deadline=1.0,
                )

    async def _purge_for_ever(self) -> None:
        """Removes what is done with, so that the stream's limits speak of what waits."""
        waited = 0.0
        swept = False
        while True:
            await asyncio.sleep(_PURGE_EVERY_S / 8)
            waited += _PURGE_EVERY_S / 8
            if not swept:  # with the pin or without: the pin is told with a message only
                swept = await self._sweep()
            if self._acked - self._purged < (_PURGE_EVERY if waited < _PURGE_EVERY_S else 1):
                continue
            waited, acked = 0.0, self._acked
            try:
                await self._bus.purge(self._stream, self._subject, below=acked + 1)
                self._purged = acked
            except (ApiError, BrokerUnavailable) as error:
                log.warning("cannot purge what is done", error=type(error).__name__)

    async def _sweep(self) -> bool:
        """Removes what an earlier process acknowledged and had no time to purge; False: try again."""
        try:
            info = await self._bus.api(f"CONSUMER.INFO.{self._stream}.{streams.DISPATCHER}")
            done = int(info["ack_floor"]["stream_seq"])
            if done:
                await self._bus.purge(self._stream, self._subject, below=done + 1)
        except (ApiError, BrokerUnavailable):
            return False
        return True


def _raw(message: Delivery) -> Raw:
    tokens = message.reply.split(".")
    # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…, or with a domain and an account hash before the stream.
    at = 5 if len(tokens) == 9 else 7
    return Raw(
        message.subject,
        int(tokens[at]),
        int(tokens[at + 2]) // 1_000_000,
        message.headers,
        message.data,
        int(tokens[at - 1]),
    )


def _stored(message: Stored) -> Raw:
    now_ms = time.time_ns() // 1_000_000
    return Raw(message.subject, message.sequence, now_ms, message.headers, message.data)
