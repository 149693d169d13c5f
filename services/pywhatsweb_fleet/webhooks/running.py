"""One webhook at work: its tenant's events stream in, posts out, and its progress into the database.

The place in the stream (``floor``) moves past an event when it was posted, or stands in the database for a later try.
So a crash costs repeats, under the same ids, and never an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from typing import Any, Final

import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, ids, streams, subjects
from pywhatsweb.contracts.decoding import decode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.rule_data import TARGET_HEADER
from pywhatsweb.errors import ContractError
from pywhatsweb_fleet.storage import webhooks
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.webhooks import Parked, Progress, Tried, Webhook
from pywhatsweb_fleet.webhooks import signing
from pywhatsweb_fleet.webhooks.circuit import Circuit
from pywhatsweb_fleet.webhooks.configuring import Config, Secrets
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.formats import render
from pywhatsweb_fleet.webhooks.lanes import Item, Lane, Lanes
from pywhatsweb_fleet.webhooks.posting import Answer
from pywhatsweb_runtime import tracing
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

KEEP_TRIES: Final = 300
_WINDOW: Final = 256
"""Events in memory that are not dealt with."""
_BATCH: Final = 64
_BATCH_BYTES: Final = 4 * 2**20
_PARKED_MOST: Final = 10_000
"""With so many events put aside nothing new is read: the stream keeps it."""
_SAVE_EVERY_S: Final = 1.0
_SAVE_PLACE_EVERY_S: Final = 10.0
_POLL_S: Final = 5.0
_LAST_PAUSE_S: Final = 3600.0
_TROUBLE_PAUSE_S: Final = 1.0


def _now() -> int:
    return time.time_ns() // 1_000_000


class Runner:
    """Made by `holding`, for as long as this process holds the webhook. ``row`` is as it was then."""

    def __init__(
        self, deps: Deps, row: Webhook, config: Config, secrets: Secrets, record: TenantRecord
    ) -> None:
        self.row = row
        self._deps = deps
        self._config = config
        self._secrets = secrets
        self._tenant = TenantId(row.tenant)
        self._give_up_ms = min(deps.settings.webhook_give_up_s, 0.95 * record.limits.replay_seconds) * 1000
        kind = config.types[0] if config.types is not None and len(config.types) == 1 else "*"
        session = config.sessions[0] if config.sessions is not None and len(config.sessions) == 1 else "*"
        self._subject = subjects.event(self._tenant, SessionId(session), kind, ChatKey("*"))
        self._stream = streams.events_name(self._tenant)
        self._lanes = Lanes()
        self._open: dict[int, Item] = {}
        """Read, and neither posted nor in the database."""
        self._read_to = 0
        self._parked = 0
        self._touched: dict[int, Item] = {}
        """Whose rows are to be written."""
        self._settled: list[int] = []
        """Whose rows are to go."""
        self._dead: list[Parked] = []
        self._tries: deque[Tried] = deque(maxlen=KEEP_TRIES)
        self._circuit = Circuit(row.failures, time.monotonic())
        self._saved_floor = 0
        self._save_at = 0.0
        self._disabled: str | None = None
        self._more = True
        self._number = 0
        self._woken = asyncio.Event()
        self._posting: set[asyncio.Task[None]] = set()
        self._stopping = False

    def waiting(self) -> tuple[int, int]:
        """How many events are read and not dealt with, and how many are put aside for a later try."""
        return sum(not item.parked for item in self._open.values()), self._parked

    def oldest_s(self) -> float:
        """For how long the oldest of them has been tried in vain."""
        first = min((item.first_at for item in self._lanes if item.first_at), default=0)
        return max(0.0, (_now() - first) / 1000) if first else 0.0

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
        self._read_to = self._saved_floor = row.floor
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
            self._parked += 1
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
        if self._save_at == 0 and (pause := self._save_after()) is not None:
            self._save_at = now + pause
        due = self._disabled is not None or (self._save_at and now >= self._save_at)
        if due and (not await self._save() or self._disabled is not None):
            return True
        await self._wait(0 if self._may_read() else self._rest(now))
        return False

    def _save_after(self) -> float | None:
        """Seconds; None when there is nothing to save. To read what does not concern it again costs little."""
        if self._touched or self._settled or self._dead or self._tries:
            return _SAVE_EVERY_S
        return _SAVE_PLACE_EVERY_S if self._read_to != self._saved_floor else None

    def _may_read(self) -> bool:
        waiting = not self._circuit.open and time.monotonic() >= self._circuit.not_before
        return self._more and waiting and len(self._open) < _WINDOW and self._parked < _PARKED_MOST

    def _rest(self, now: float) -> float:
        """Seconds until something may have to be done."""
        pause = _POLL_S
        if self._save_at:
            pause = min(pause, self._save_at - now)
        if len(self._posting) < self._most and (due := self._lanes.next_due) is not None:
            ready = now if self._circuit.open else now + max(0, due - _now()) / 1000
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
            "batch": _BATCH, "max_bytes": _BATCH_BYTES, "seq": self._read_to + 1, "next_by_subj": self._subject,
        }  # fmt: skip
        self._more = False
        stored = await self._deps.reader.ask(self._stream, asked)
        for one in stored:
            self._read_to = one.sequence
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
            self._open[one.sequence] = item
            if self._lanes.add(item):
                self._put_aside(item)
        self._more = self._more or bool(stored)

    def _put_aside(self, item: Item) -> None:
        """For the next save; until then it counts as open."""
        if not item.parked:
            item.parked = True
            self._parked += 1
            item.first_at = item.first_at or _now()
        item.data = None
        self._touched[item.sequence] = item

    # Posting.

    @property
    def _most(self) -> int:
        """Lanes at once."""
        return 1 if self._circuit.open else self._deps.settings.webhook_concurrency

    def _dispatch(self) -> None:
        while len(self._posting) < self._most and time.monotonic() >= self._circuit.not_before:
            if not self._deps.may_post():
                return
            lane = self._lanes.probe() if self._circuit.open else self._lanes.take(_now())
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
            lane.items[0].due_at = _now() + round(_TROUBLE_PAUSE_S * 1000)
            if not isinstance(error, StorageUnavailable | BrokerUnavailable | ApiError):
                raise  # nobody expected it: it is told, and tried again as rarely
        finally:
            self._lanes.again(lane)

    async def _try(self, lane: Lane, item: Item) -> bool:
        """Whether it is dealt with."""
        data = item.data if item.data is not None else await self._read_again(item)
        answer = None if data is None else await self._post(item, data)
        if answer is None or answer.ok:
            if answer is not None and self._circuit.succeeded():
                self._lanes.hurry()
            lane.items.popleft()
            self._settle(item)
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

    async def _post(self, item: Item, data: bytes) -> Answer | None:
        """None: there is nothing to be posted. The format has no such event, it does not decode, or it is of a phone's
        history, which nobody asked for."""
        try:
            event: Any = decode(data, events.AnyEvent)
        except (ContractError, ValueError):
            log.warning("an event does not decode", tenant=self._tenant, at=item.sequence)
            return None
        item.event_id = event.id
        if isinstance(event, events.MessageEvent) and event.data.history and not self._config.history:
            return None
        own_number = None
        if self._config.format != "pywhatsweb":
            own_number = await self._deps.own_number(self.row.tenant, item.session)
            event = self._deps.named(event)
        body = render(event, data, self._config.format, own_number)
        if body is None:
            return None
        seconds = int(time.time())
        headers = {
            **self._secrets.headers,
            **body.headers,
            **signing.headers(
                self._secrets.counting(seconds), event.id, seconds, body.data, self._config.format
            ),
        }
        names = {"tenant": self.row.tenant, "webhook": self.row.webhook, "event": item.kind}
        with tracing.following("webhook", item.trace, names):
            if trace := tracing.current():
                headers[tracing.HEADER] = trace
            answer = await self._deps.poster.post(self._config.url, body.data, headers)
        self._note(item, answer)
        return answer

    def _note(self, item: Item, answer: Answer) -> None:
        item.attempts += 1
        item.last_at = _now()
        item.first_at = item.first_at or item.last_at
        item.answer, item.error = answer.status, answer.error
        self._number = max(self._number + 1, time.time_ns() // 1000)
        self._tries.append(
            Tried(
                self.row.tenant, self.row.webhook, self._number, item.session, item.kind, item.event_id, item.last_at,
                item.attempts, answer.ok, answer.status, answer.error, answer.took_ms, answer.excerpt,
            )
        )  # fmt: skip
        self._deps.posts.labels("ok" if answer.ok else "failed").inc()

    def _settle(self, item: Item) -> None:
        if item.parked:
            self._parked -= 1
            self._settled.append(item.sequence)
            self._touched.pop(item.sequence, None)
        self._open.pop(item.sequence, None)

    def _failed(self, lane: Lane, item: Item, data: bytes, answer: Answer) -> bool:
        """What follows a try that failed; whether the event is dealt with."""
        if self._circuit.failed(time.monotonic(), answer.retry_after_s):
            self._alert("webhook_failing", answer)
        if answer.gone:
            self._disabled = "gone"
            self._alert("webhook_gone", answer)
        elif item.last_at - item.first_at >= self._give_up_ms:
            lane.items.popleft()
            self._give_up(item, data)
            return True
        pause = min(
            self._deps.settings.webhook_first_pause_s * 3 ** min(item.attempts - 1, 12), _LAST_PAUSE_S
        )
        wait_s = max(pause * random.uniform(0.8, 1.2), answer.retry_after_s)
        item.due_at = _now() + round(wait_s * 1000)
        for one in lane.items:
            self._put_aside(one)
        return False

    def _give_up(self, item: Item, data: bytes) -> None:
        if item.parked:
            self._parked -= 1
        item.parked = True
        self._touched.pop(item.sequence, None)
        self._dead.append(self._row(item)._replace(dead=True, body=data))
        self._open.pop(item.sequence, None)

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

    # Saving.

    def _row(self, item: Item) -> Parked:
        return Parked(
            self.row.tenant, self.row.webhook, item.sequence, item.session, item.chat, item.kind, item.event_id,
            item.first_at, item.last_at, item.attempts, item.due_at, item.answer, item.error, False, None,
        )  # fmt: skip

    async def _save(self) -> bool:
        """False when the webhook is another's by now."""
        touched, settled, dead = self._touched, self._settled, self._dead
        tries = list(self._tries)
        # An event that is put aside with this very transaction holds the place back no longer.
        unsaved = next((sequence for sequence in self._open if sequence not in touched), None)
        floor = self._read_to if unsaved is None else unsaved - 1
        rows = [self._row(item) for item in touched.values()] + dead
        progress = Progress(
            self.row.stream, floor, self._circuit.failures, rows, settled, tries, self._disabled
        )
        self._touched, self._settled, self._dead = {}, [], []
        self._tries.clear()
        self._save_at = 0
        try:
            held = await self._deps.store.transact(
                webhooks.record, self.row.tenant, self.row.webhook, self._deps.holder, progress, KEEP_TRIES
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
