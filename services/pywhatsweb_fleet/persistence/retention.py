"""How long things are kept, by tenant and kind, and their end: one replica at a time, in small batches.

Rows go by their own time. On PostgreSQL a month that is over for every tenant is dropped as a partition first, which
costs nothing however much is in it. Streams are purged up to the first message within the period; what was purged
leaves the disk as `scrubbing` tells.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import events, streams
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.persistence.duties import Duty, Known
from pywhatsweb_fleet.storage import audit, expiring, law, media, partitions
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import STREAM_NOT_FOUND, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

USUAL_DAYS: Final[dict[str, int]] = {
    "messages": 90,
    "statuses": 90,
    "session_events": 90,
    "media": 30,
    "events": 7,
    "deadletters": 30,
    "idempotency": 7,
    "audit": 1826,
}
DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 500
_BREATH_S: Final = 0.02
"""Between two batches, so that ingest has its turn."""


class Retention:
    """Answers ``retention.get`` and ``retention.set``, and does the work."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def get(self, asked: Asked) -> ld.RetentionInfo:
        return _info(await self._store.read(law.periods, asked.tenant))

    async def set(self, asked: Asked) -> ld.RetentionInfo:
        args: ld.RetentionSet = asked.args
        now = time.time_ns() // 1_000_000

        def write(conn: Any) -> dict[str, int]:
            law.set_period(conn, asked.tenant, args.kind, args.days, args.actor, now)
            entry = audit.Entry(
                asked.tenant, now, args.actor or "-", "retention.set", args.kind, None, args.address,
                args.correlation_id, f'{{"days":{"null" if args.days is None else args.days}}}',
            )  # fmt: skip
            audit.append(conn, entry)
            return law.periods(conn, asked.tenant)

        return _info(await self._store.transact(write))

    async def keep(self, duty: Duty, tenants: Known, every_s: float) -> None:
        """Runs beside the service; what fails is done the next time."""
        while True:
            try:
                if await duty.hold():
                    await duty.while_held(self._log_once(tenants.records))
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError) as error:
                log.warning("retention waits", problem=type(error).__name__)
            await asyncio.sleep(every_s)

    async def _log_once(self, records: Mapping[TenantId, TenantRecord]) -> None:
        removed = await self.once(records, time.time_ns() // 1_000_000)
        if +removed:
            log.info("what was past its period is gone", **removed)

    async def once(self, records: Mapping[TenantId, TenantRecord], now: int) -> Counter[str]:
        """Everything that is past its period; how much of each kind. Raises StorageUnavailable, BrokerUnavailable."""
        days = {tenant: _days(await self._store.read(law.periods, tenant)) for tenant in records}
        removed: Counter[str] = Counter()
        longest = max((max(own["messages"], own["statuses"]) for own in days.values()), default=None)
        if self._store.dialect == "postgresql" and longest is not None:
            removed["months"] = await self._store.transact(partitions.drop_before, now - longest * DAY_MS)
        for tenant, own in days.items():
            for kind in expiring.KINDS:
                removed[kind] += await self._rows(kind, tenant, now - own[kind] * DAY_MS)
            removed["media"] += await self._media(tenant, now - own["media"] * DAY_MS)
            key = bytes(records[tenant].key)
            removed["audit"] += await self._trail(tenant, key, now - own["audit"] * DAY_MS)
            for kind, stream, subject in (
                ("events", streams.events_name(tenant), f"wa.evt.{tenant}.>"),
                ("deadletters", streams.deadletters_name(tenant), ">"),
            ):
                removed[kind] += await self._stream(stream, subject, now - own[kind] * DAY_MS)
        return removed

    async def _rows(self, kind: str, tenant: str, before: int) -> int:
        total = 0
        while done := await self._store.transact(expiring.expire, kind, tenant, before, _AT_ONCE):
            total += done
            await asyncio.sleep(_BREATH_S)
        return total

    async def _media(self, tenant: str, before: int) -> int:
        """The rows; the objects' bytes go with the next sweep of the object store."""
        total = 0
        while found := await self._store.read(expiring.old_media, tenant, before, _AT_ONCE):
            total += (await self._store.transact(media.drop, tenant, media_ids=found)).references
            await asyncio.sleep(_BREATH_S)
        return total

    async def _trail(self, tenant: str, key: bytes, before: int) -> int:
        total = 0
        while done := await self._store.transact(audit.prune, tenant, key, before):
            total += done
            await asyncio.sleep(_BREATH_S)
        return total

    async def _stream(self, stream: str, subject: str, before: int) -> int:
        """Purges what was stored before the time."""
        try:
            state = (await self._bus.api(f"STREAM.INFO.{stream}"))["state"]
        except ApiError as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            return 0
        if not state["messages"] or state["first_ts"] >= events.timestamp(before):
            return 0
        wanted = {"batch": 1, "start_time": events.timestamp(before), "next_by_subj": ">"}
        async with reading(self._bus) as reader:
            kept = await reader.ask(stream, wanted)
        below = kept[0].sequence if kept else int(state["last_seq"]) + 1
        return await self._bus.purge(stream, subject, below)


def _days(own: Mapping[str, int]) -> dict[str, int]:
    return {**USUAL_DAYS, **{kind: days for kind, days in own.items() if kind in USUAL_DAYS}}


def _info(own: Mapping[str, int]) -> ld.RetentionInfo:
    return ld.RetentionInfo(days=_days(own), chosen=sorted(own))
