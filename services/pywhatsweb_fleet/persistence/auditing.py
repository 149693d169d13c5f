"""The audit trail held against what the broker was told of it.

A chain of hashes shows a changed or missing entry. Who may write to the database could still cut its end off, or make
the whole chain anew: so its head is written down elsewhere now and then, in a bucket of the broker (`ANCHORS`), where
the last 64 of them stay.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts import streams
from pywhatsweb_fleet.persistence.duties import Known
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.audit import Link
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.kv import Bucket

log = structlog.get_logger(__name__)

ANCHORS: Final = "WA_AUDIT"
_KEPT: Final = 64


class Anchor(msgspec.Struct, frozen=True):
    """The head of a tenant's chain at a time (milliseconds since 1970)."""

    sequence: int
    hash: str
    at: int


class Auditing:
    """Answers ``audit.verify``, and keeps the anchors."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._told: dict[str, Link] = {}

    async def prepare(self, replicas: int) -> None:
        await provision.ensure_stream(self._bus, streams.bucket(ANCHORS, replicas, history=_KEPT))

    async def keep(self, tenants: Known, every_s: float) -> None:
        """Runs beside the service; what fails is done the next time."""
        while True:
            try:
                for tenant in list(tenants.records):
                    await self.anchor(tenant)
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError) as error:
                log.warning("the audit's anchors wait", problem=type(error).__name__)
            await asyncio.sleep(every_s)

    async def anchor(self, tenant: str) -> None:
        """Writes the head down if it is another than last time."""
        head = await self._store.read(audit.head, tenant)
        if head.sequence == 0 or head == self._told.get(tenant):
            return
        value = msgspec.json.encode(Anchor(*head, time.time_ns() // 1_000_000))
        await Bucket(self._bus, ANCHORS).put(tenant, value)
        self._told[tenant] = head

    async def verify(self, asked: Asked) -> ld.AuditVerdict:
        tenant = asked.tenant
        # First what was told, then the chain: it only grows meanwhile.
        anchors = await self._anchors(tenant)
        try:
            base = await self._store.read(audit.base, tenant, bytes(asked.record.key)) or Link()
        except ValueError:
            return ld.AuditVerdict(ok=False, entries=0, first=0, flaw=0, reason="cut off at its beginning")
        flaw = await self._chain(tenant, base)
        reason = None if flaw is None else "changed or missing"
        if flaw is None:
            flaw, reason = await self._held_against(tenant, base, anchors)
        head = await self._store.read(audit.head, tenant)
        entries = head.sequence - base.sequence
        return ld.AuditVerdict(
            ok=flaw is None, entries=entries, first=base.sequence + 1, flaw=flaw, reason=reason
        )

    async def _chain(self, tenant: str, base: Link) -> int | None:
        place: Link | None = base
        while place is not None:
            flaw, place = await self._store.read(audit.check, tenant, place)
            if flaw is not None:
                return flaw
        return None

    async def _held_against(
        self, tenant: str, base: Link, anchors: list[Anchor]
    ) -> tuple[int | None, str | None]:
        head = await self._store.read(audit.head, tenant)
        good = base.sequence
        for anchor in anchors:
            if anchor.sequence <= base.sequence:
                continue
            if anchor.sequence > head.sequence:
                return head.sequence + 1, "cut off at its end"
            if await self._store.read(audit.hash_at, tenant, anchor.sequence) != anchor.hash:
                return good + 1, "rewritten"
            good = anchor.sequence
        return None, None

    async def _anchors(self, tenant: str) -> list[Anchor]:
        """Oldest first."""
        async with reading(self._bus) as reader:
            found = await reader.batch(f"KV_{ANCHORS}", f"$KV.{ANCHORS}.{tenant}", limit=_KEPT)
        return [msgspec.json.decode(stored.data, type=Anchor) for stored in found if stored.data]
