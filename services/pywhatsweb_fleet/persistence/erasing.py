"""Erasure of a person: a work of many steps, begun by a request, carried on by whichever replica is there.

What is asked for is a row of ``erasure_jobs`` before the asker hears of it, and stays one until the receipt is written
in its place, so a service that is killed at any step leaves the work to the next. Every step finds what is there and
removes it: doing one again does no harm.

What comes in meanwhile is erased with the rest. Passes go on until every reader of the events is beyond what was there
when the work began, so nothing old is on its way to a table any more, and one finds nothing; or, for somebody who
writes on and on, a few times. Then one transaction draws a line: what is recorded before it is gone, what comes after
it is new, and whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import codec, events, ids, streams, subjects
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode, RequestError, error_struct
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.persistence import scrubbing, sweeping
from pywhatsweb_fleet.persistence.duties import Duty
from pywhatsweb_fleet.persistence.person import Person
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.persistence.receipts import Work, begin, finish, look, read_work, so_far, to_json
from pywhatsweb_fleet.persistence.scrubbing import Named
from pywhatsweb_fleet.storage import kanban, law, media
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.law import Job
from pywhatsweb_fleet.storage.scouring import scour
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_MOST_PASSES: Final = 20
_SETTLED_PASSES: Final = 3
_READERS_S: Final = 60.0
_PAUSE_S: Final = 0.2
_LOOK_EVERY_S: Final = 2.0
_QUEUES: Final = ("WA_CMD_", "WA_SCH_", "WA_OUT_")
"""Streams of what is still to be sent."""
_ANSWER_S: Final = 20.0
"""How long a request waits for its receipt; one that takes longer is asked for again."""


FindTenant = Callable[[str], Awaitable[TenantRecord | None]]
DropExports = Callable[[str, str], Awaitable[int]]
"""Of a tenant and a subject: removes the exports that hold the person's data; how many."""


class Erasures:
    """Answers ``data.erase`` and ``data.erase_status``, and does the work."""

    def __init__(  # noqa: PLR0917 - wired in one place
        self,
        store: Store,
        url: str,
        bus: Bus,
        publisher: Publisher,
        find: FindTenant,
        drop_exports: DropExports,
        files: Library | None,
    ) -> None:
        self._store = store
        self._url = url
        self._bus = bus
        self._publisher = publisher
        self._find = find
        self._drop_exports = drop_exports
        self.files = files
        self._asked = asyncio.Event()
        self._moved = asyncio.Condition()
        self.forget: list[Callable[[], None]] = []
        """Called when a person is gone: caches that would keep them from being recorded anew."""

    # Asking.

    async def erase(self, asked: Asked) -> ld.ErasureReceipt:
        """Begins, or finds the erasure of the same person that is under way; the receipt if it comes soon."""
        args: ld.DataErase = asked.args
        who = Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region)
        job = await self._store.transact(begin, who, args, events.timestamp())
        self._asked.set()
        until = asyncio.get_running_loop().time() + _ANSWER_S
        while True:
            found = await self._receipt(who.id, job.erasure_id)
            left = until - asyncio.get_running_loop().time()
            if found.state == "done" or left <= 0:
                return found
            async with self._moved:
                try:
                    await asyncio.wait_for(self._moved.wait(), min(left, 1.0))
                except TimeoutError:
                    continue

    async def erase_status(self, asked: Asked) -> ld.ErasureReceipt:
        return await self._receipt(asked.tenant, asked.args.id)

    async def _receipt(self, tenant: str, erasure_id: str) -> ld.ErasureReceipt:
        job, receipt = await self._store.read(look, tenant, erasure_id)
        if receipt is not None:
            return msgspec.json.decode(receipt.receipt, type=ld.ErasureReceipt)
        if job is None:
            raise RequestError(ErrorCode.E_ERASURE_NOT_FOUND)
        return so_far(job, read_work(job.work))

    # Working.

    async def keep(self, duty: Duty) -> None:
        """Carries on what is under way, one erasure at a time in the whole fleet; runs beside the service."""
        while True:
            try:
                jobs = await self._store.read(law.erasure_jobs)
                if jobs and await duty.hold():
                    for job in jobs:
                        await duty.while_held(self._carry_on(job))
            except (
                StorageUnavailable,
                ObjectsUnavailable,
                BrokerUnavailable,
                ApiError,
                SQLAlchemyError,
            ) as error:
                log.warning("an erasure waits", problem=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the record goes on, and the erasure is tried again
                # No traceback: its values are people's.
                log.error("an erasure failed; it is tried again", error=type(error).__name__)  # noqa: TRY400
            self._asked.clear()
            try:
                await asyncio.wait_for(self._asked.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def _carry_on(self, job: Job) -> None:
        record = await self._find(job.tenant)
        if record is None:
            log.warning("an erasure waits for its tenant's record", tenant=job.tenant)
            return
        work = read_work(job.work)
        if work.phase == "erase":
            await _Passes(self, job, work, record).run()
        work.residue += await asyncio.to_thread(scour, self._url)
        await self._store.transact(finish, job, work, bytes(record.key))
        log.info("a person was erased", tenant=job.tenant, erasure=job.erasure_id, residue=len(work.residue))
        async with self._moved:
            self._moved.notify_all()

    def forget_all(self) -> None:
        for forget in self.forget:
            forget()

    async def save(self, job: Job, work: Work) -> None:
        def write(conn: Connection) -> None:
            sweeping.securely(conn)
            law.save_work(conn, job.tenant, job.erasure_id, to_json(work).decode())

        await self._store.transact(write)


class _Passes:
    """The first phase of one erasure."""

    def __init__(self, erasures: Erasures, job: Job, work: Work, record: TenantRecord) -> None:
        assert work.person is not None  # noqa: S101 - of this phase
        self._erasures = erasures
        self._store = erasures._store  # noqa: SLF001 - a part of it
        self._bus = erasures._bus  # noqa: SLF001
        self._job = job
        self._work = work
        self._record = record
        self._person = work.person
        self._tenant = TenantId(job.tenant)
        self._stream = streams.events_name(self._tenant)

    async def run(self) -> None:
        work = self._work
        if not work.cut:
            work.cut = await scrubbing.last_sequence(self._bus, self._stream)
            await self._erasures.save(self._job, work)
        # Others' messages that name the person go from the stream as a whole, so they are first let into the record.
        for late in await self._late_readers():
            work.residue.append(f"{late}: had not read all events when it began; what it missed is gone")
        await self._passes()
        await self._close()
        work.residue += [
            f"{name}: not rewritten yet" for name in await scrubbing.roll(self._bus, self._tenant)
        ]
        files = self._erasures.files
        if files is not None:
            await files.sweep()
        if not await self._objects_gone():
            work.residue.append("media: files wait to be removed from the object store")
        work.phase, work.person = "scour", None
        await self._erasures.save(self._job, work)

    async def _passes(self) -> None:
        """Until nothing that was there at the beginning is left, or on its way to a table."""
        settled = 0
        for _ in range(_MOST_PASSES):
            # Before the pass: what readers had committed by then, it finds.
            settled += not await self._busy()
            found = await self._pass()
            if settled and (not found or settled >= _SETTLED_PASSES):
                return
            await asyncio.sleep(_PAUSE_S)
        raise StorageUnavailable("an erasure does not come to its end; it is tried again")

    async def _close(self) -> None:
        """Somebody who writes on and on is found by every pass: a line is drawn, behind which all is new, and whole."""
        line = await scrubbing.last_sequence(self._bus, self._stream)
        self._erasures.forget_all()
        await self._count(await self._store.transact(sweeping.close, self._tenant, self._person))
        self._erasures.forget_all()
        await self._streams(line)

    async def _late_readers(self) -> list[str]:
        return [
            reader
            for reader in streams.EVENT_READERS
            if not await scrubbing.until(partial(self._has_read, reader), _READERS_S)
        ]

    async def _has_read(self, reader: str) -> bool:
        if reader != "kanban":
            return await scrubbing.has_read(self._bus, self._stream, reader, self._work.cut)
        place = await self._store.read(kanban.place, self._tenant)
        # One that holds the board no longer can commit nothing of what it read.
        idle = place is None or place.held_until < time.time_ns() // 1_000_000
        return idle or place is None or place.sequence >= self._work.cut

    async def _busy(self) -> bool:
        """Whether something that was there at the beginning may still be on its way into a table."""
        return not (await self._has_read("persistence") and await self._has_read("kanban"))

    async def _pass(self) -> bool:
        """Everything once; whether anything was found."""
        found = await self._streams()
        dropped = await self._media()
        words = await self._store.transact(
            sweeping.forget_words, self._tenant, [*self._person.keys, self._job.subject]
        )
        exports = await self._erasures._drop_exports(self._tenant, self._job.subject)  # noqa: SLF001
        await self._count(Counter(media=dropped, audit_words=words, exports=exports))
        swept = await sweeping.sweep(self._store, self._tenant, self._person, self._count)
        return bool(found or dropped or words or exports or swept)

    async def _media(self) -> int:
        """References to files of the person's chats; where the files can be reached, these too."""
        files = self._erasures.files
        if files is not None:
            return (await files.forget(self._tenant, chats=self._person.keys)).references
        return await self._store.transact(_drop_media, self._tenant, self._person)

    async def _streams(self, line: int | None = None) -> bool:
        """What names the person in the streams, of the events those up to a line; whether there was any."""
        anything = False
        async for named in scrubbing.find(self._bus, self._tenant, self._person, self._record.region):
            found = [
                one
                for one in named
                if line is None or one.stream != self._stream or one.stored.sequence <= line
            ]
            anything = anything or bool(found)
            # First what only these messages lead to; a command that was never to be anything else ends by name.
            for one in found:
                await self._cancel(one)
            await self._count(await self._store.transact(_follow, self._tenant, found))
            await self._count(await scrubbing.overwrite(self._bus, found))
        return anything

    async def _cancel(self, named: Named) -> None:
        """Tells `cancelled` of a command that was still to be sent; its id is told as long as it names nobody."""
        waiting = named.stream.startswith(_QUEUES) and "Pww-Cancelled" not in named.stored.headers
        command = named.command_id
        if not waiting or command is None or named.session is None or self._person.held_by(command.encode()):
            return
        key, session = TenantKey(self._record.key), SessionId(named.session)
        event = events.StatusEvent(
            id=ids.stable_event_id(key, "status", session, command, "cancelled", "erased"),
            tenant_id=self._tenant,
            session_id=session,
            timestamp=events.timestamp(),
            data=Status(
                command_id=command, status=MessageStatus.CANCELLED, error=error_struct(ErrorCode.E_ERASED)
            ),
        )
        headers = events.headers(event, self._record.events)
        headers["Nats-TTL"] = f"{self._record.limits.replay_seconds}s"
        subject = subjects.event_ingest(self._tenant, session, "status", ChatKey(subjects.NO_CHAT))
        publisher = self._erasures._publisher  # noqa: SLF001
        await publisher.publish(subject, codec.encode(event, self._record.events), headers)

    async def _count(self, counts: Counter[str]) -> None:
        if not +counts:
            return
        self._work.counts = dict(Counter(self._work.counts) + counts)
        await self._erasures.save(self._job, self._work)

    async def _objects_gone(self) -> bool:
        now = time.time_ns() // 1_000_000
        waiting = await self._store.read(media.leftovers, now, 1000)
        return not any(tenant == self._tenant for tenant, _ in waiting)


def _follow(conn: Connection, tenant: str, found: list[Named]) -> Counter[str]:
    sweeping.securely(conn)
    commands = {named.command_id for named in found if named.command_id}
    messages = {named.message_id for named in found if named.message_id}
    return sweeping.follow(conn, tenant, messages, commands)


def _drop_media(conn: Connection, tenant: str, person: Person) -> int:
    sweeping.securely(conn)
    return media.drop(conn, tenant, chats=person.keys).references
