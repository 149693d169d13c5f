"""What of one webhook's events is dealt with: kept in memory, and written to the database by each save.

The place in the stream (``floor``) moves past an event when it was posted, or stands in the database for a later try.
So a crash costs repeats, under the same ids, and never an event.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from pywhatsweb_fleet.storage import webhooks
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.webhooks import Parked, Progress, Tried, Webhook
from pywhatsweb_fleet.webhooks.lanes import Item
from pywhatsweb_fleet.webhooks.posting import Answer

KEEP_TRIES: Final = 300
_SAVE_EVERY_S: Final = 1.0
_SAVE_PLACE_EVERY_S: Final = 10.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Ledger:
    """Of one webhook. ``read_to``: the newest event of the stream that was looked at."""

    def __init__(self, row: Webhook) -> None:
        self.row = row
        self.read_to = self._saved_floor = row.floor
        self.parked = 0
        """How many events are put aside for a later try."""
        self._open: dict[int, Item] = {}
        """Read, and neither posted nor in the database."""
        self._touched: dict[int, Item] = {}
        """Whose rows are to be written."""
        self._settled: list[int] = []
        """Whose rows are to go."""
        self._dead: list[Parked] = []
        self._tries: deque[Tried] = deque(maxlen=KEEP_TRIES)
        self._number = 0

    @property
    def open(self) -> int:
        """How many events are in memory and not dealt with."""
        return len(self._open)

    def waiting(self) -> int:
        """How many events are read, and neither dealt with nor put aside."""
        return sum(not item.parked for item in self._open.values())

    def save_after(self) -> float | None:
        """Seconds; None when there is nothing to save. To read what does not concern it again costs little."""
        if self._touched or self._settled or self._dead or self._tries:
            return _SAVE_EVERY_S
        return _SAVE_PLACE_EVERY_S if self.read_to != self._saved_floor else None

    def read(self, item: Item) -> None:
        """It is to be posted."""
        self._open[item.sequence] = item

    def put_aside(self, item: Item) -> None:
        """For the next save; until then it counts as open."""
        if not item.parked:
            item.parked = True
            self.parked += 1
            item.first_at = item.first_at or now_ms()
        item.data = None
        self._touched[item.sequence] = item

    def tried(self, item: Item, answer: Answer) -> None:
        item.attempts += 1
        item.last_at = now_ms()
        item.first_at = item.first_at or item.last_at
        item.answer, item.error = answer.status, answer.error
        self._number = max(self._number + 1, time.time_ns() // 1000)
        self._tries.append(
            Tried(
                self.row.tenant, self.row.webhook, self._number, item.session, item.kind, item.event_id, item.last_at,
                item.attempts, answer.ok, answer.status, answer.error, answer.took_ms, answer.excerpt,
            )
        )  # fmt: skip

    def settle(self, item: Item) -> None:
        """It was posted, or there is nothing to be posted."""
        if item.parked:
            self.parked -= 1
            self._settled.append(item.sequence)
            self._touched.pop(item.sequence, None)
        self._open.pop(item.sequence, None)

    def give_up(self, item: Item, data: bytes) -> None:
        """It is kept with its body, until somebody drives it again."""
        if item.parked:
            self.parked -= 1
        item.parked = True
        self._touched.pop(item.sequence, None)
        self._dead.append(self._row_of(item)._replace(dead=True, body=data))
        self._open.pop(item.sequence, None)

    def _row_of(self, item: Item) -> Parked:
        return Parked(
            self.row.tenant, self.row.webhook, item.sequence, item.session, item.chat, item.kind, item.event_id,
            item.first_at, item.last_at, item.attempts, item.due_at, item.answer, item.error, False, None,
        )  # fmt: skip

    async def save(self, store: Store, holder: str, failures: int, disabled: str | None) -> bool:
        """False when the webhook is another's by now. Raises StorageUnavailable; nothing is forgotten then."""
        touched, settled, dead = self._touched, self._settled, self._dead
        tries = list(self._tries)
        # An event that is put aside with this very transaction holds the place back no longer.
        unsaved = next((sequence for sequence in self._open if sequence not in touched), None)
        floor = self.read_to if unsaved is None else unsaved - 1
        rows = [self._row_of(item) for item in touched.values()] + dead
        progress = Progress(self.row.stream, floor, failures, rows, settled, tries, disabled)
        self._touched, self._settled, self._dead = {}, [], []
        self._tries.clear()
        try:
            held = await store.transact(
                webhooks.record, self.row.tenant, self.row.webhook, holder, progress, KEEP_TRIES
            )
        except BaseException:
            self._touched = touched | self._touched
            self._settled = settled + self._settled
            self._dead = dead + self._dead
            self._tries.extendleft(reversed(tries))
            raise
        for sequence in touched:
            self._open.pop(sequence, None)
        self._saved_floor = floor
        return held
