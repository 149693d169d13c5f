"""Erasure of a person: a work of many steps, begun by a request, carried on by whichever replica is there.

What is asked for is a row of ``erasure_jobs`` before the asker hears of it, and stays one until the receipt is written
in its place, so a service that is killed at any step leaves the work to the next. Every step finds what is there and
removes it: doing one again does no harm.

What comes in meanwhile: everything that names the person and was stored before the last pass is erased with the rest.
Passes go on until one finds nothing and every reader of the events is beyond what was there when the work began, so
nothing old is on its way to a table any more. What the person writes after that is new, and whole.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import codec, events, ids, streams, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode, RequestError, error_struct
from pywhatsweb_fleet.persistence import scrubbing, sweeping
from pywhatsweb_fleet.persistence.duties import Duty
from pywhatsweb_fleet.persistence.person import GONE, Person, resolve, subject_digest
from pywhatsweb_fleet.persistence.queries import Asker
from pywhatsweb_fleet.persistence.scrubbing import Named
from pywhatsweb_fleet.storage import audit, kanban, law, media, people
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.law import Job, Receipt
from pywhatsweb_fleet.storage.scouring import scour
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_MOST_PASSES: Final = 20
_READERS_S: Final = 60.0
_OBJECTS_S: Final = 30.0
_PAUSE_S: Final = 0.2
_LOOK_EVERY_S: Final = 2.0
_QUEUES: Final = ("WA_CMD_", "WA_SCH_", "WA_OUT_")
"""Streams of what is still to be sent."""
_ANSWER_S: Final = 20.0
"""How long a request waits for its receipt; one that takes longer is asked for again."""


class Work(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far an erasure has come. In phase ``scour`` nothing of it names the person any more."""

    phase: Literal["erase", "scour"] = "erase"
    person: Person | None = None
    cut: int = 0
    """The events stream's last sequence when the work began."""
    counts: dict[str, int] = {}
    residue: list[str] = []
    address: str | None = None
    correlation_id: str | None = None


_work = msgspec.json.Decoder(Work).decode
_json = msgspec.json.Encoder(order="sorted").encode
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
    ) -> None:
        self._store = store
        self._url = url
        self._bus = bus
        self._publisher = publisher
        self._find = find
        self._drop_exports = drop_exports
        self._asked = asyncio.Event()
        self._moved = asyncio.Condition()
        self.forget: list[Callable[[], None]] = []
        """Called when a person is gone: caches that would keep them from being recorded anew."""

    # Asking.

    async def erase(self, asked: Asked) -> d.ErasureReceipt:
        """Begins, or finds the erasure of the same person that is under way; the receipt if it comes soon."""
        args: d.DataErase = asked.args
        who = Asker(asked.tenant, TenantKey(asked.record.key), asked.record.region)
        job = await self._store.transact(_begin, who, args, events.timestamp())
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

    async def erase_status(self, asked: Asked) -> d.ErasureReceipt:
        return await self._receipt(asked.tenant, asked.args.id)

    async def _receipt(self, tenant: str, erasure_id: str) -> d.ErasureReceipt:
        job, receipt = await self._store.read(_look, tenant, erasure_id)
        if receipt is not None:
            return msgspec.json.decode(receipt.receipt, type=d.ErasureReceipt)
        if job is None:
            raise RequestError(ErrorCode.E_ERASURE_NOT_FOUND)
        return _so_far(job, _work(job.work))

    # Working.

    async def keep(self, duty: Duty) -> None:
        """Carries on what is under way, one erasure at a time in the whole fleet; runs beside the service."""
        while True:
            try:
                jobs = await self._store.read(law.erasure_jobs)
                if jobs and await duty.hold():
                    for job in jobs:
                        await duty.while_held(self._carry_on(job))
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError) as error:
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
        work = _work(job.work)
        if work.phase == "erase":
            await _Passes(self, job, work, record).run()
            for forget in self.forget:
                forget()
        work.residue += await asyncio.to_thread(scour, self._url)
        await self._store.transact(_finish, job, work, bytes(record.key))
        log.info("a person was erased", tenant=job.tenant, erasure=job.erasure_id, residue=len(work.residue))
        async with self._moved:
            self._moved.notify_all()

    async def save(self, job: Job, work: Work) -> None:
        def write(conn: Connection) -> None:
            sweeping.securely(conn)
            law.save_work(conn, job.tenant, job.erasure_id, _json(work).decode())

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
        for _ in range(_MOST_PASSES):
            if not await self._pass() and not await self._busy():
                break
            await asyncio.sleep(_PAUSE_S)
        else:
            raise StorageUnavailable("an erasure does not come to its end; it is tried again")
        work.residue += [
            f"{name}: not rewritten yet" for name in await scrubbing.roll(self._bus, self._tenant)
        ]
        if not await scrubbing.until(self._objects_gone, _OBJECTS_S):
            work.residue.append("media: files wait to be removed from the object store")
        work.phase, work.person = "scour", None
        await self._erasures.save(self._job, work)

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
        dropped = await self._store.transact(_drop_media, self._tenant, self._person)
        words = await self._store.transact(
            sweeping.forget_words, self._tenant, [*self._person.keys, self._job.subject]
        )
        exports = await self._erasures._drop_exports(self._tenant, self._job.subject)  # noqa: SLF001
        await self._count(Counter(media=dropped, audit_words=words, exports=exports))
        swept = await sweeping.sweep(self._store, self._tenant, self._person, self._count)
        return bool(found or dropped or words or exports or swept)

    async def _streams(self) -> bool:
        anything = False
        async for found in scrubbing.find(self._bus, self._tenant, self._person, self._record.region):
            anything = True
            # First what only these messages lead to; a command that was never to be anything else ends by name.
            for named in found:
                await self._cancel(named)
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


def _begin(conn: Connection, who: Asker, args: d.DataErase, at: str) -> Job:
    person = resolve(conn, who, args.phone_number)
    subject = subject_digest(who, person)
    reason = _nameless(conn, who.id, person, args.reason)
    work = Work(person=person, address=args.address, correlation_id=args.correlation_id)
    now = time.time_ns() // 1_000_000
    wanted = Job(
        who.id, "era_" + secrets.token_hex(12), subject, args.actor, reason, now, _json(work).decode()
    )
    job = law.begin_erasure(conn, wanted)
    if job.erasure_id == wanted.erasure_id:
        entry = audit.Entry(
            who.id, now, args.actor, "data.erase_requested", subject, reason, args.address, args.correlation_id,
            _json({"id": job.erasure_id, "at": at}).decode(),
        )  # fmt: skip
        audit.append(conn, entry)
    return job


def _nameless(conn: Connection, tenant: str, person: Person, words: str) -> str:
    """What the asker wrote, without the person's addresses and the names that they are known by."""
    words = person.out_of(words)
    known = [people.get(conn, tenant, pn=pn) for pn in person.pns]
    known += [people.get(conn, tenant, lid=lid) for lid in person.lids]
    for one in known:
        if one is not None and one.name and len(one.name) > 1:
            words = words.replace(one.name, GONE)
    return words


def _look(conn: Connection, tenant: str, erasure_id: str) -> tuple[Job | None, Receipt | None]:
    return law.erasure_job(conn, tenant, erasure_id), law.receipt(conn, tenant, erasure_id)


def _so_far(job: Job, work: Work) -> d.ErasureReceipt:
    return d.ErasureReceipt(
        id=job.erasure_id,
        state="running",
        subject=job.subject,
        requested_at=events.timestamp(job.requested_at),
        actor=job.actor,
        reason=job.reason,
        counts=work.counts,
        residue=work.residue,
    )


def _finish(conn: Connection, job: Job, work: Work, key: bytes) -> None:
    """The receipt and its entry in the trail, once."""
    now = time.time_ns() // 1_000_000
    receipt = msgspec.structs.replace(
        _so_far(job, work), state="done", erased_at=events.timestamp(now), kept=dict(sweeping.KEPT)
    )
    receipt = msgspec.structs.replace(receipt, signature=sign(receipt, key))
    row = Receipt(
        job.tenant, job.erasure_id, job.subject, job.actor, job.reason, _json(receipt).decode(), now
    )
    if law.end_erasure(conn, row):
        detail = _json({"id": job.erasure_id, "counts": work.counts, "signature": receipt.signature}).decode()
        entry = audit.Entry(
            job.tenant, now, job.actor, "data.erase", job.subject, job.reason, work.address, work.correlation_id,
            detail,
        )  # fmt: skip
        audit.append(conn, entry)


def sign(receipt: d.ErasureReceipt, key: bytes) -> str:
    """HMAC-SHA256 under the tenant's key over the receipt as sorted JSON without its signature."""
    return hmac.digest(key, _json(msgspec.structs.replace(receipt, signature=None)), "sha256").hex()


def _follow(conn: Connection, tenant: str, found: list[Named]) -> Counter[str]:
    sweeping.securely(conn)
    commands = {named.command_id for named in found if named.command_id}
    messages = {named.message_id for named in found if named.message_id}
    return sweeping.follow(conn, tenant, messages, commands)


def _drop_media(conn: Connection, tenant: str, person: Person) -> int:
    sweeping.securely(conn)
    return media.drop(conn, tenant, chats=person.keys).references
