"""A tenant's events stream onto its board, in the stream's order and each event once.

The place in the stream stands in the database and moves in the transaction that changes the cards, so there is no
acknowledgement to lose: what is committed never comes again, what is not comes again to whoever is there. A durable
consumer could promise neither that nor the order when another replica takes over. Replicas agree by that transaction
alone; that one of them holds a tenant for some seconds only spares the others the reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey
from pywhatsweb.errors import ContractError
from pywhatsweb_fleet.kanban.handlers import Advance, Said, settle, stimulus_of
from pywhatsweb_fleet.kanban.outbox import Outbox
from pywhatsweb_fleet.kanban.recording import Moved
from pywhatsweb_fleet.kanban.settings import KanbanSettings
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.kanban import Place
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import deadletters
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus, Stored
from pywhatsweb_runtime.direct import Reader
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 5.0
_GATHER_S: Final = 0.05
"""After a sign that something has come, more of it may be on its way."""
_SKIP_MOST: Final = 2000
"""Events that do not concern the board, after which the place is moved all the same."""


class Deps:
    """What all tenants' ingests share."""

    def __init__(  # noqa: PLR0917 - wired in one place
        self, bus: Bus, store: Store, publisher: Publisher, reader: Reader, holder: str, metrics: Metrics
    ) -> None:
        self.bus = bus
        self.store = store
        self.publisher = publisher
        self.reader = reader
        self.holder = holder
        self.metrics = metrics
        self.outbox: Outbox


class Ingest:
    """Of one tenant. `problem` is what keeps it from working just now, for the health check."""

    def __init__(self, deps: Deps, tenant: TenantId, record: TenantRecord, settings: KanbanSettings) -> None:
        self._deps = deps
        self._tenant = tenant
        self._record = record
        self._key = TenantKey(record.key)
        self._settings = settings
        self._stream = streams.events_name(tenant)
        self._subject = subjects.event(tenant, SessionId("*"), "*", ChatKey("*"))
        self._stream_id: str | None = None
        self._skipped_to = 0
        self._held: Place | None = None
        """The place as this replica wrote it, which holds the tenant until then."""
        self._woken = asyncio.Event()
        self._stopping = False
        self._batch = settings.board_batch
        self.problem: str | None = None

    def wake(self) -> None:
        """Something has come."""
        self._woken.set()

    def look_anew(self) -> None:
        """The broker was away: the stream may be another one now."""
        self._stream_id = self._held = None
        self.wake()

    def stop(self) -> None:
        """Makes `run` end after the batch that is under way."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._stopping:
            try:
                more = await self._round()
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError, Moved) as error:
                if self.problem is None:
                    log.warning("the board waits", tenant=self._tenant, problem=type(error).__name__)
                self.problem = type(error).__name__
                self._held = None
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, _LAST_PAUSE_S)
                continue
            self.problem, pause = None, _FIRST_PAUSE_S
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.board_poll_s * random.uniform(0.5, 1.0)):
                        await self._woken.wait()
                    await asyncio.sleep(_GATHER_S)
                self._woken.clear()

    async def _round(self) -> bool:
        """One batch; whether there may be more already."""
        if self._stream_id is None:
            self._stream_id = str((await self._deps.bus.api(f"STREAM.INFO.{self._stream}"))["created"])
            self._skipped_to = 0
        now = time.time_ns() // 1_000_000
        before = self._held
        if before is None or before.held_until <= now:
            before = await self._deps.store.read(kanban.place, self._tenant)
        if before is not None and before.holder != self._deps.holder and now < before.held_until:
            # Not for longer than it can mean: the other's clock may be wrong.
            await asyncio.sleep(min((before.held_until - now) / 1000, self._settings.board_hold_s))
            return not self._stopping
        done = before.sequence if before is not None and before.stream == self._stream_id else 0
        start = max(done, self._skipped_to) + 1
        limit = self._batch
        stored = await self._deps.reader.batch(self._stream, self._subject, start, limit=limit)
        if not stored:
            return False
        told = [said for one in stored if (said := await self._read(one)) is not None]
        last = stored[-1].sequence
        if not told and last - done < _SKIP_MOST:
            self._skipped_to = last
        else:
            transitions = await self._settle(told, before, last, stored)
            if transitions is None:
                return True
            stored_at = datetime.fromisoformat(stored[0].headers["Nats-Time-Stamp"]).timestamp()
            self._deps.metrics.ingest_lag.observe(max(0.0, time.time() - stored_at))
            if transitions:
                await self._deps.outbox.flush(self._tenant)
        return len(stored) == limit

    async def _settle(
        self, told: Sequence[Said], before: Place | None, last: int, stored: Sequence[Stored]
    ) -> int | None:
        """How many transitions the batch made; None: it is to be looked at again."""
        assert self._stream_id is not None  # noqa: S101 - known since the round's begin
        hold = time.time_ns() // 1_000_000 + round(self._settings.board_hold_s * 1000)
        move = Advance(before, Place(self._stream_id, last, self._deps.holder, hold))
        try:
            settled = await self._deps.store.transact(settle, self._tenant, self._key, told, move)
        except (DataError, IntegrityError, ValueError, TypeError, OverflowError) as error:
            # A value at fault: fewer and fewer, until it is alone.
            if len(stored) > 1:
                self._batch = max(1, len(stored) // 2)
                return None
            await self._set_aside(stored[0], type(error).__name__)
            settled = await self._deps.store.transact(settle, self._tenant, self._key, [], move)
        self._batch = min(self._settings.board_batch, 2 * self._batch)
        self._held = move.after if settled is not None else None
        return settled

    async def _read(self, stored: Stored) -> Said | None:
        try:
            return stimulus_of(stored.subject, stored.data)
        except (ContractError, ValueError):
            # Persistence, which reads every event, sets it aside.
            log.warning("an event does not decode", tenant=self._tenant, at=stored.sequence)
            return None

    async def _set_aside(self, stored: Stored, reason: str) -> None:
        letters = deadletters.of_event(
            self._tenant,
            self._record,
            reader="kanban",
            subject=stored.subject,
            sequence=stored.sequence,
            body=stored.data,
            code="E_POISON",
            reason=reason,
        )
        for letter in letters:
            await self._deps.publisher.publish(*letter)
        log.warning("an event was set aside", tenant=self._tenant, reason=reason, at=stored.sequence)
