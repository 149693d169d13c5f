"""One webhook at work: its tenant's events stream in, posts out, and its progress into the database.

What is dealt with stands in the `Ledger`, each post is a `Delivery`'s; here it is decided what is done when.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Final

import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, ids, streams, subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.rule_data import TARGET_HEADER
from pywhatsweb_fleet.storage import webhooks
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.webhooks import Webhook
from pywhatsweb_fleet.webhooks.circuit import Circuit
from pywhatsweb_fleet.webhooks.configuring import Config, Secrets
from pywhatsweb_fleet.webhooks.delivering import Delivery
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.lanes import Item, Lane, Lanes
from pywhatsweb_fleet.webhooks.ledger import Ledger, now_ms
from pywhatsweb_fleet.webhooks.posting import Answer
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_WINDOW: Final = 256
"""Events in memory that are not dealt with."""
_BATCH: Final = 64
_BATCH_BYTES: Final = 4 * 2**20
_PARKED_MOST: Final = 10_000
"""With so many events put aside nothing new is read: the stream keeps it."""
_POLL_S: Final = 5.0
_LAST_PAUSE_S: Final = 3600.0
_TROUBLE_PAUSE_S: Final = 1.0


class Runner:
    """Made by `holding`, for as long as this process holds the webhook. ``row`` is as it was then."""

    def __init__(
        self, deps: Deps, row: Webhook, config: Config, secrets: Secrets, record: TenantRecord
    ) -> None:
        self.row = row
        self._deps = deps
        self._config = config
        self._delivery = Delivery(deps, row.tenant, row.webhook, config, secrets)
        self._tenant = TenantId(row.tenant)
        self._give_up_ms = min(deps.settings.webhook_give_up_s, 0.95 * record.limits.replay_seconds) * 1000
        kind = config.types[0] if config.types is not None and len(config.types) == 1 else "*"
        session = config.sessions[0] if config.sessions is not None and len(config.sessions) == 1 else "*"
        self._subject = subjects.event(self._tenant, SessionId(session), kind, ChatKey("*"))
        self._stream = streams.events_name(self._tenant)
        self._lanes = Lanes()
        self._ledger = Ledger(row)
        self._circuit = Circuit(row.failures, time.monotonic())
        self._save_at = 0.0
        self._disabled: str | None = None
        self._more = True
        self._woken = asyncio.Event()
        self._posting: set[asyncio.Task[None]] = set()
        self._stopping = False

    def waiting(self) -> tuple[int, int]:
        """How many events are read and not dealt with, and how many are put aside for a later try."""
        return self._ledger.waiting(), self._ledger.parked

    def oldest_s(self) -> float:
        """For how long the oldest of them has been tried in vain."""
        first = min((item.first_at for item in self._lanes if item.first_at), default=0)
        return max(0.0, (now_ms() - first) / 1000) if first else 0.0

    def wake(self) -> None:
        """Something has come."""
        self._more = True
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Until stopped, or the webhook is not ours any longer."""
        loaded = False
        try:
            while not self._stopping:
                try:
                    loaded = loaded or await self._load()
                    if not loaded or await self._round():
                        return
                except (StorageUnavailable, BrokerUnavailable, ApiError) as error:
                    log.warning(
                        "a webhook waits",
                        tenant=self._tenant,
                        webhook=self.row.webhook,
                        problem=type(error).__name__,
                    )
                    await self._wait(_TROUBLE_PAUSE_S)
        finally:
            if self._stopping and self._posting:
                await asyncio.wait(self._posting, timeout=self._deps.settings.webhook_timeout_s)
            for task in self._posting:
                task.cancel()
            if self._stopping and loaded:
                with contextlib.suppress(StorageUnavailable):
                    await self._save()

    async def _load(self) -> bool:
        """The place, and what an earlier holder put aside; False when there is nothing to begin with."""
        row = await self._deps.store.read(webhooks.find, self.row.tenant, self.row.webhook)
        if row is None or row.holder != self._deps.holder or row.version != self.row.version:
            return False
        self.row = row
        self._ledger = Ledger(row)
        self._circuit = Circuit(row.failures, time.monotonic())
        created = str((await self._deps.bus.api(f"STREAM.INFO.{self._stream}"))["created"])
        if created != row.stream:  # another one, in which the place means nothing
            await self._deps.store.transact(webhooks.move, self.row.tenant, self.row.webhook, created, 0)
            return False
        for put in await self._deps.store.read(webhooks.parked, self.row.tenant, self.row.webhook):
            subject = subjects.event(self._tenant, SessionId(put.session), put.kind, ChatKey(put.chat))
            item = Item(put.sequence, subject, session=put.session, kind=put.kind, chat=put.chat)
            item.event_id, item.attempts, item.parked = put.event_id, put.attempts, True
            item.first_at, item.last_at, item.due_at = put.first_at, put.last_at, put.due_at
            item.answer, item.error = put.answer, put.error
            self._lanes.add(item)
            self._ledger.parked += 1
        return True

    @property
    def _ending(self) -> bool:
        return self._stopping or self._disabled is not None

    # A round.

    async def _round(self) -> bool:
        """Whether it was the last one."""
        self._dispatch()
        if self._may_read():
            await self._fill()
            self._dispatch()
        now = time.monotonic()
        if self._save_at == 0 and (pause := self._ledger.save_after()) is not None:
            self._save_at = now + pause
        due = self._disabled is not None or (self._save_at and now >= self._save_at)
        if due and (not await self._save() or self._disabled is not None):
            return True
        await self._wait(0 if self._may_read() else self._rest(now))
        return False

    def _may_read(self) -> bool:
        waiting = not self._circuit.open and time.monotonic() >= self._circuit.not_before
        room = self._ledger.open < _WINDOW and self._ledger.parked < _PARKED_MOST
        return self._more and waiting and room

    def _rest(self, now: float) -> float:
        """Seconds until something may have to be done."""
        pause = _POLL_S
        if self._save_at:
            pause = min(pause, self._save_at - now)
        if len(self._posting) < self._most and (due := self._lanes.next_due) is not None:
            ready = now if self._circuit.open else now + max(0, due - now_ms()) / 1000
            pause = min(pause, max(ready, self._circuit.not_before) - now)
        return max(pause, 0.005)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            if seconds >= _POLL_S:
                self._more = True
        self._woken.clear()

    async def _fill(self) -> None:
        asked = {
            "batch": _BATCH, "max_bytes": _BATCH_BYTES, "seq": self._ledger.read_to + 1, "next_by_subj": self._subject,
        }  # fmt: skip
        self._more = False
        stored = await self._deps.reader.ask(self._stream, asked)
        for one in stored:
            self._ledger.read_to = one.sequence
            parsed = subjects.parse_event(one.subject)
            whose = one.headers.get(TARGET_HEADER, self.row.webhook)
            if (
                parsed is None
                or not self._config.wants(parsed.session, parsed.kind)
                or whose != self.row.webhook
            ):
                continue
            item = Item(
                one.sequence, one.subject,
                session=parsed.session, kind=parsed.kind, chat=parsed.chat, data=one.data,
            )  # fmt: skip
            item.event_id = one.headers.get("ce-id", "")
            item.trace = tracing.known(one.headers.get(tracing.HEADER))
            self._ledger.read(item)
            if self._lanes.add(item):
                self._ledger.put_aside(item)
        self._more = self._more or bool(stored)

    # Posting.

    @property
    def _most(self) -> int:
        """Lanes at once."""
        return 1 if self._circuit.open else self._deps.settings.webhook_concurrency

    def _dispatch(self) -> None:
        while len(self._posting) < self._most and time.monotonic() >= self._circuit.not_before:
            if not self._deps.may_post():
                return
            lane = self._lanes.probe() if self._circuit.open else self._lanes.take(now_ms())
            if lane is None:
                return
            task = asyncio.create_task(self._work(lane))
            self._posting.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._posting.discard(task)
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "a post failed", tenant=self._tenant, webhook=self.row.webhook, error=type(error).__name__
            )

    async def _work(self, lane: Lane) -> None:
        """A lane's events, until one does not get through."""
        try:
            while lane.items and not self._ending and self._deps.may_post():
                if not await self._try(lane, lane.items[0]):
                    return
        except Exception as error:
            lane.items[0].due_at = now_ms() + round(_TROUBLE_PAUSE_S * 1000)
            if not isinstance(error, StorageUnavailable | BrokerUnavailable | ApiError):
                raise  # nobody expected it: it is told, and tried again as rarely
        finally:
            self._lanes.again(lane)

    async def _try(self, lane: Lane, item: Item) -> bool:
        """Whether it is dealt with."""
        data = item.data if item.data is not None else await self._read_again(item)
        answer = None if data is None else await self._delivery.post(item, data)
        if answer is not None:
            self._ledger.tried(item, answer)
        if answer is None or answer.ok:
            if answer is not None and self._circuit.succeeded():
                self._lanes.hurry()
            lane.items.popleft()
            self._ledger.settle(item)
            return True
        assert data is not None  # noqa: S101 - it was posted
        return self._failed(lane, item, data, answer)

    async def _read_again(self, item: Item) -> bytes | None:
        """The event of a row; None when neither the row nor the stream has it any longer (it was erased, say)."""
        kept = await self._deps.store.read(webhooks.body, self.row.tenant, self.row.webhook, item.sequence)
        if kept is not None:
            return kept
        found = await self._deps.reader.batch(self._stream, item.subject, item.sequence, limit=1)
        if not found or found[0].sequence != item.sequence:
            return None
        item.trace = tracing.known(found[0].headers.get(tracing.HEADER))
        return found[0].data

    def _failed(self, lane: Lane, item: Item, data: bytes, answer: Answer) -> bool:
        """What follows a try that failed; whether the event is dealt with."""
        if self._circuit.failed(time.monotonic(), answer.retry_after_s):
            self._alert("webhook_failing", answer)
        if answer.gone:
            self._disabled = "gone"
            self._alert("webhook_gone", answer)
        elif item.last_at - item.first_at >= self._give_up_ms:
            lane.items.popleft()
            self._ledger.give_up(item, data)
            return True
        pause = min(
            self._deps.settings.webhook_first_pause_s * 3 ** min(item.attempts - 1, 12), _LAST_PAUSE_S
        )
        wait_s = max(pause * random.uniform(0.8, 1.2), answer.retry_after_s)
        item.due_at = now_ms() + round(wait_s * 1000)
        for one in lane.items:
            self._ledger.put_aside(one)
        return False

    def _alert(self, kind: str, answer: Answer) -> None:
        log.warning(
            kind.replace("_", " "),
            tenant=self._tenant,
            webhook=self.row.webhook,
            answer=answer.status,
            error=answer.error,
        )
        details = {"webhook_id": self.row.webhook, "answer": answer.status, "error": answer.error}
        event = events.AlertEvent(
            id=ids.new_event_id(), tenant_id=self.row.tenant, session_id=subjects.NO_SESSION,
            timestamp=events.timestamp(), data=d.Alert(kind=kind, details=details),
        )  # fmt: skip
        self._deps.tell(self._tenant, event)

    async def _save(self) -> bool:
        """False when the webhook is another's by now."""
        self._save_at = 0
        return await self._ledger.save(
            self._deps.store, self._deps.holder, self._circuit.failures, self._disabled
        )
