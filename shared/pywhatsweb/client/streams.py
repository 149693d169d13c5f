"""Live events: what the fleet tells from now on, in the stream's order, with gaps noticed and memory bounded.

The broker republishes each event with its stream sequence (``Nats-Sequence``) and the one before it on the same subject
(``Nats-Last-Sequence``). Sequences of what one subscribes to are not contiguous (others' subjects lie between), so a
gap is a predecessor that should have been seen and was not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.client.connection import Link
from pywhatsweb.contracts import codec, events, subjects
from pywhatsweb.contracts.events import AnyEvent
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import BrokerError, ErrorCode, EventGapError, PyWhatsWebError, SlowConsumerError

log: Final[logging.Logger] = logging.getLogger(__name__)

_SUBJECTS: Final = 16_384
"""Subjects whose last sequence is remembered."""


class Gap(NamedTuple):
    """Events between two stream sequences may be missing."""

    after: int
    """The last sequence that was seen before; 0 when none was."""
    before: int | None
    """The first one seen after it, or None when the connection was lost and nothing came yet."""


class GapWatch:
    """Notices a missed event by its follower on the same subject."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        """A predecessor up to here cannot be judged: it was before this watch, or was forgotten."""
        self.last: int = 0

    def missed(self, subject: str, sequence: int, predecessor: int) -> bool:
        """Whether `predecessor`, of the same subject, should have come before `sequence` and did not."""
        if self.last == 0:
            self._floor = sequence
        known = self._seen.pop(subject, 0)
        missed = predecessor > self._floor and predecessor != known
        self._seen[subject] = sequence
        if len(self._seen) > _SUBJECTS:
            _, forgotten = self._seen.popitem(last=False)
            self._floor = max(self._floor, forgotten)
        self.last = max(self.last, sequence)
        return missed


def wanted(
    tenant: TenantId, types: Collection[str] | None, sessions: Collection[str] | None
) -> tuple[str, frozenset[str] | None, frozenset[str] | None]:
    """The narrowest subject that covers them all, and what is left to be filtered. Raises PyWhatsWebError."""
    for name in sessions or ():
        if name != subjects.NO_SESSION and not subjects.valid_name(name):
            raise BrokerError(ErrorCode.E_INVALID_SESSION_ID)
    for kind in types or ():
        if kind not in events.EVENT_TYPES:
            raise BrokerError(ErrorCode.E_UNSUPPORTED_TYPE, {"types": sorted(events.EVENT_TYPES)})
    session = next(iter(sessions)) if sessions is not None and len(sessions) == 1 else "*"
    kind = next(iter(types)) if types is not None and len(types) == 1 else "*"
    # One subscription, since only within one the order is kept.
    return (
        f"wa.evt.{tenant}.{session}.{kind}.*",
        None if types is None or kind != "*" else frozenset(types),
        None if sessions is None or session != "*" else frozenset(sessions),
    )


class EventStream:
    """``async with fleet.events(…) as stream: async for event in stream``; also iterates without the block.

    Holds at most `buffer` events. When more come before they are taken, what is held is still given and then
    SlowConsumerError raised: nothing is lost silently. `sequence` is the stream sequence of the event given last:
    `FleetClient.durable(start=sequence + 1)` reads on from there.
    """

    def __init__(
        self,
        link: Link,
        tenant: TenantId,
        *,
        types: Collection[str] | None,
        sessions: Collection[str] | None,
        buffer: int,
        on_gap: Callable[[Gap], None] | None,
        raise_gaps: bool,
    ) -> None:
        if buffer < 1:
            raise ValueError("buffer is 1 or more")
        self._link = link
        self._subject, self._types, self._sessions = wanted(tenant, types, sessions)
        self._buffer = buffer
        self._on_gap = on_gap
        self._raise_gaps = raise_gaps
        self._held: deque[tuple[int, AnyEvent] | PyWhatsWebError] = deque()
        self._more = asyncio.Event()
        self._watch = GapWatch()
        self._subscription: Subscription | None = None
        self._ended = False
        self.sequence: int = 0
        self.gaps: deque[Gap] = deque(maxlen=100)
        """The latest ones."""

    async def open(self) -> Self:
        """Returns when the broker has the subscription: whatever happens from here on is seen."""
        if self._subscription is None and not self._ended:
            self._subscription = await self._link.subscribe(
                self._subject, self._on_message, on_overflow=self._overflowed
            )
            self._link.on_reconnect.append(self._reconnected)
            await self._link.flush()
        return self

    async def close(self) -> None:
        """What is held is still given; then the iteration ends."""
        self._ended = True
        self._more.set()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            self._link.on_reconnect.remove(self._reconnected)
            await self._link.unsubscribe(subscription)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEvent:
        if self._subscription is None and not self._ended:
            await self.open()
        while not self._held:
            if self._ended:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        found = self._held.popleft()
        if isinstance(found, PyWhatsWebError):
            if isinstance(found, SlowConsumerError):
                await self.close()
            raise found
        self.sequence, event = found
        return event

    def _put(self, item: tuple[int, AnyEvent] | PyWhatsWebError) -> None:
        self._held.append(item)
        self._more.set()

    def _overflowed(self) -> None:
        if not self._ended:
            self._ended = True
            self._put(SlowConsumerError(ErrorCode.E_SLOW_CONSUMER, {"limit": self._buffer}))

    async def _on_message(self, message: Msg) -> None:
        if self._ended:
            return
        headers = message.headers or {}
        sequence = _number(headers.get("Nats-Sequence"))
        before = self._watch.last
        if sequence and self._watch.missed(
            message.subject, sequence, _number(headers.get("Nats-Last-Sequence"))
        ):
            self._tell(Gap(before, sequence))
        where = subjects.parse_event(message.subject)
        if where is None or not self._takes(where):
            return
        if len(self._held) >= self._buffer:
            self._overflowed()
            return
        try:
            event: AnyEvent = codec.decode(message.data, AnyEvent)
        except msgspec.MsgspecError:
            log.debug("an event of type %s is not of this version", where.kind)
            return
        self._put((sequence, event))

    def _takes(self, where: subjects.EventSubject) -> bool:
        return (self._types is None or where.kind in self._types) and (
            self._sessions is None or where.session in self._sessions
        )

    def _reconnected(self) -> None:
        # Core subscriptions hold nothing while they are away; whether something happened, nobody can say yet.
        self._tell(Gap(self._watch.last, None))

    def _tell(self, gap: Gap) -> None:
        self.gaps.append(gap)
        log.warning("events after sequence %d may be missing", gap.after)
        if self._on_gap is not None:
            self._on_gap(gap)
        if self._raise_gaps:
            self._put(EventGapError(ErrorCode.E_EVENT_GAP, {"after": gap.after, "before": gap.before}))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
