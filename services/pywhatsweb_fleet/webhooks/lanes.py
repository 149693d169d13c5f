"""The events of one webhook that are on their way, a lane a chat: a lane's are posted one after the other.

A lane whose first event did not get through waits for its next try, and everything behind it with it; other lanes go
on. Pure bookkeeping: no clock, no I/O.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import count


class Item:
    """An event. ``data`` is None once it is put aside: it is read again for the next try. Times in milliseconds."""

    __slots__ = (
        "answer", "attempts", "chat", "data", "due_at", "error", "event_id", "first_at", "kind", "last_at", "parked",
        "sequence", "session", "subject", "trace",
    )  # fmt: skip

    def __init__(
        self, sequence: int, subject: str, *, session: str, kind: str, chat: str, data: bytes | None = None
    ) -> None:
        self.sequence = sequence
        self.subject = subject
        self.session = session
        self.kind = kind
        self.chat = chat
        self.data = data
        self.event_id = ""
        self.trace = ""
        """The ``traceparent`` of the command that it came of."""
        self.attempts = 0
        self.first_at = 0
        self.last_at = 0
        self.due_at = 0
        self.answer: int | None = None
        self.error: str | None = None
        self.parked = False
        """Whether the database has a row of it."""


class Lane:
    __slots__ = ("busy", "items", "key")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.items: deque[Item] = deque()
        self.busy = False


class Lanes:
    """``ready`` lanes may be worked on; the others wait for a time."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._ready: deque[Lane] = deque()
        self._later: list[tuple[int, int, Lane]] = []
        self._number = count()

    def __iter__(self) -> Iterator[Item]:
        return (item for lane in self._lanes.values() for item in lane.items)

    def add(self, item: Item) -> bool:
        """At the end of its lane; whether the lane waits for a later try, so that the item waits with it."""
        key = (item.session, item.chat)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        lane.items.append(item)
        if len(lane.items) == 1:
            self.again(lane)
        return lane.items[0].parked

    def again(self, lane: Lane) -> None:
        """The lane is not being worked on any longer: it goes where its first item's time says, or away."""
        lane.busy = False
        if not lane.items:
            self._lanes.pop(lane.key, None)
        elif lane.items[0].due_at == 0:
            self._ready.append(lane)
        else:
            heapq.heappush(self._later, (lane.items[0].due_at, next(self._number), lane))

    def take(self, now: int) -> Lane | None:
        """A lane whose time has come, marked as being worked on."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        return self._mark(self._ready.popleft()) if self._ready else None

    def probe(self) -> Lane | None:
        """The lane whose time comes next, whether it has come or not."""
        if self._ready:
            return self._mark(self._ready.popleft())
        return self._mark(heapq.heappop(self._later)[2]) if self._later else None

    def hurry(self) -> None:
        """The receiver is back: what waits for a time waits no longer."""
        self._ready.extend(lane for _, _, lane in sorted(self._later, key=lambda entry: entry[:2]))
        self._later.clear()

    @property
    def next_due(self) -> int | None:
        """0: at once; None: nothing waits."""
        if self._ready:
            return 0
        return self._later[0][0] if self._later else None

    @staticmethod
    def _mark(lane: Lane) -> Lane:
        lane.busy = True
        return lane
