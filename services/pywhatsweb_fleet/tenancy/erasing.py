"""A tenant's erasure: a job on record at the broker, each of whose steps may be done again, until nothing is found.

The order: nobody of the tenant's gets in; its sessions are unlinked at WhatsApp; its account goes; its record goes, and
with it every service lets go of it; then its streams, buckets' entries, rows and files. A killed process leaves the job
on record, and the next one goes on. What another service was writing at that moment may come after the first look, so
the job looks again, and once more a while after it was done.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
import structlog

from pywhatsweb.contracts import events, streams
from pywhatsweb.contracts import platform_data as p
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.media.objects import Objects, ObjectsUnavailable
from pywhatsweb_fleet.storage import leaving
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.tenancy.registrar import Registrar
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import STREAM_NOT_FOUND, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket

log = structlog.get_logger(__name__)

ERASURES_BUCKET: Final = "WA_ERASURES"
_LOOK_S: Final = 0.25
_LET_GO_S: Final = 1.5
"""Services follow the bucket of tenants within half a second."""
_AGAIN_S: Final = 2.0
_AT_ONCE: Final = 2000
_LATE_MS: Final = 15 * 60_000
"""So long after its end a job is looked at again: a transaction of another service may have been under way."""

Step = Literal["closed", "unlinking", "removing", "erasing", "done"]


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``<tenant>`` in the bucket WA_ERASURES."""

    id: str
    tenant: str
    actor: str
    reason: str
    requested_at: int
    step: Step = "closed"
    erased_at: int = 0
    counts: dict[str, int] = {}
    linked: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Job).decode


async def ensure_bucket(bus: Bus, replicas: int = 1) -> None:
    await provision.ensure_stream(bus, streams.bucket(ERASURES_BUCKET, replicas))


class Erasing:
    """Made with what it erases from; `run_for_ever` does the work."""

    def __init__(
        self, bus: Bus, store: Store, objects: Objects, registrar: Registrar, *, unlink_s: float
    ) -> None:
        self._bus = bus
        self._store = store
        self._objects = objects
        self._registrar = registrar
        self._unlink_s = unlink_s
        self._jobs = Bucket(bus, ERASURES_BUCKET)
        self._sessions = Bucket(bus, streams.SESSIONS_BUCKET)
        self._due = asyncio.Event()

    async def load(self) -> None:
        """Before anything is answered: a tenant that is being erased stays so."""
        for job in await self._all():
            if job.step != "done":
                self._registrar.leaving.add(job.tenant)
        self._due.set()

    # What is asked.

    async def delete(self, args: p.TenantDelete) -> p.TenantReceipt:
        """Begins; again, it tells how far it is."""
        job = await self._job(args.tenant)
        if job is None or (job.step == "done" and await self._registrar.tenants.get(args.tenant) is not None):
            if await self._registrar.tenants.get(args.tenant) is None:
                raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
            job = Job(
                id="ten_" + random.token_hex(12),
                tenant=args.tenant,
                actor=args.actor,
                reason=args.reason,
                requested_at=_now(),
            )
            await self._put(job)
            log.info("a tenant is being erased", tenant=args.tenant, erasure=job.id)
        if job.step != "done":
            self._registrar.leaving.add(args.tenant)
        self._due.set()
        return _receipt(job)

    async def receipt(self, args: p.ReceiptRef) -> p.TenantReceipt:
        for job in await self._all():
            if job.id == args.id:
                return _receipt(job)
        kept = await self._store.read(leaving.receipt, args.id)
        if kept is None:
            raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.id"})
        return msgspec.json.decode(kept, type=p.TenantReceipt)

    # What is done.

    async def run_for_ever(self) -> None:
        """Runs beside the service: every job to its end, one after the other."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LATE_MS / 1000 / 10):
                    await self._due.wait()
            self._due.clear()
            try:
                for job in await self._all():
                    await (self._finish(job) if job.step != "done" else self._look_again(job))
            except (ApiError, BrokerUnavailable, StorageUnavailable, ObjectsUnavailable) as error:
                log.warning("an erasure waits; trying again", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
                self._due.set()

    async def _finish(self, job: Job) -> None:
        steps: dict[Step, tuple[Callable[[Job], Awaitable[Job]], Step]] = {
            "closed": (self._close, "unlinking"),
            "unlinking": (self._unlink, "removing"),
            "removing": (self._remove, "erasing"),
            "erasing": (self._erase, "done"),
        }
        while job.step != "done":
            act, then = steps[job.step]
            job = msgspec.structs.replace(await act(job), step=then)
            if then == "done":
                job = msgspec.structs.replace(job, erased_at=_now())
                await self._keep(job)
            await self._put(job)
        self._registrar.leaving.discard(job.tenant)
        log.info("a tenant was erased", tenant=job.tenant, erasure=job.id)

    async def _close(self, job: Job) -> Job:
        """Nobody of the tenant's gets in, at the broker or the gateway, and no command of it is taken any more."""
        self._registrar.leaving.add(job.tenant)
        await self._registrar.shut_out(job.tenant)
        entry = await self._registrar.tenants.get(job.tenant)
        if entry is not None and entry.value is not None:
            record = msgspec.structs.replace(registry.decode_tenant(entry.value), suspended=True)
            await self._registrar.tenants.put(job.tenant, registry.encode(record))
        await self._forget(self._registrar.keys, f"key.{job.tenant}.*")
        await self._forget(self._registrar.keys, f"used.{job.tenant}.*")
        return job

    async def _unlink(self, job: Job) -> Job:
        """Has the workers log the tenant's sessions out; those that nobody serves keep their device at WhatsApp."""
        until = time.monotonic() + self._unlink_s
        while True:
            left = {}
            for entry in await self._sessions.all(f"{job.tenant}.*"):
                if entry.value is None:
                    continue
                record = registry.decode_session(entry.value)
                left[entry.key.partition(".")[2]] = record
                if record.wanted != "deleting":
                    changed = msgspec.structs.replace(
                        record, wanted="deleting", generation=record.generation + 1
                    )
                    with contextlib.suppress(ApiError):  # changed meanwhile: it is looked at again
                        await self._sessions.put(entry.key, registry.encode(changed), expected=entry.revision)
            if not left or time.monotonic() >= until:
                return msgspec.structs.replace(job, linked=sorted(left))
            await asyncio.sleep(_LOOK_S)

    async def _remove(self, job: Job) -> Job:
        """The account goes, then the record: a start in between makes neither of them again."""
        await self._registrar.drop(job.tenant)
        await self._registrar.tenants.delete(job.tenant)
        await asyncio.sleep(_LET_GO_S)
        return job

    async def _erase(self, job: Job) -> Job:
        counts = dict(job.counts)
        while found := await self._wipe(job.tenant):
            for what, count in found.items():
                counts[what] = counts.get(what, 0) + count
            await self._put(msgspec.structs.replace(job, counts=counts))
            await asyncio.sleep(_LOOK_S)
        return msgspec.structs.replace(job, counts=counts)

    async def _wipe(self, tenant: str) -> dict[str, int]:
        """Removes what there is; how much, by place. Nothing: nothing was left."""
        counts: dict[str, int] = {}
        for name in _streams(tenant):
            if (messages := await self._drop(name)) is not None:
                counts[name.removesuffix(f"_{tenant}")] = messages or 1
        for bucket, pattern in ((self._sessions, f"{tenant}.*"), (self._registrar.keys, f"*.{tenant}.*")):
            if removed := await self._forget(bucket, pattern):
                counts["buckets"] = counts.get("buckets", 0) + removed
        if removed := await self._objects.remove_all(f"{tenant}/"):
            counts["objects"] = removed
        for table in leaving.tables():
            removed = _AT_ONCE
            while removed == _AT_ONCE:
                removed = await self._store.transact(leaving.erase_some, table.name, tenant, _AT_ONCE)
                if removed:
                    counts[table.name] = counts.get(table.name, 0) + removed
        return counts

    async def _drop(self, stream: str) -> int | None:
        """Removes a stream; how many messages it had. None: there was none."""
        try:
            messages = int((await self._bus.api(f"STREAM.INFO.{stream}"))["state"]["messages"])
            await self._bus.api(f"STREAM.DELETE.{stream}", deadline=30.0)
        except ApiError as error:
            if error.code == STREAM_NOT_FOUND:
                return None
            raise
        return messages

    @staticmethod
    async def _forget(bucket: Bucket, pattern: str) -> int:
        entries = await bucket.all(pattern)
        for entry in entries:
            await bucket.delete(entry.key)
        return len(entries)

    async def _look_again(self, job: Job) -> None:
        """After a while: what was being written when the tenant went. A new tenant of the name is left alone."""
        if _now() - job.erased_at > _LATE_MS or await self._registrar.tenants.get(job.tenant) is not None:
            return
        if job.tenant not in self._registrar.secrets.tenants and (found := await self._wipe(job.tenant)):
            log.info("what came late was erased, too", erasure=job.id, places=sorted(found))

    async def _keep(self, job: Job) -> None:
        receipt = msgspec.json.encode(_receipt(msgspec.structs.replace(job, step="done"))).decode()
        left = leaving.Left(job.id, job.tenant, job.actor, job.reason, receipt, job.erased_at)
        await self._store.transact(leaving.keep_receipt, left)

    async def _put(self, job: Job) -> None:
        await self._jobs.put(job.tenant, _encode(job))

    async def _job(self, tenant: str) -> Job | None:
        entry = await self._jobs.get(tenant)
        return _decode(entry.value) if entry is not None and entry.value is not None else None

    async def _all(self) -> list[Job]:
        return [_decode(entry.value) for entry in await self._jobs.all() if entry.value is not None]


def _streams(tenant: str) -> list[str]:
    name = TenantId(tenant)
    return [
        streams.commands_name(name),
        streams.schedules_name(name),
        streams.outbox_name(name),
        streams.events_name(name),
        streams.deadletters_name(name),
    ]


def _receipt(job: Job) -> p.TenantReceipt:
    return p.TenantReceipt(
        id=job.id,
        tenant=job.tenant,
        state="done" if job.step == "done" else "running",
        step=job.step,
        actor=job.actor,
        reason=job.reason,
        requested_at=events.timestamp(job.requested_at),
        erased_at=events.timestamp(job.erased_at) if job.erased_at else None,
        counts=job.counts,
        linked=job.linked,
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
