"""What the dispatcher knows of tenants and sessions: the buckets, in memory, kept fresh by hints and sweeps.

A hint (a write seen on its subject) only marks a session as doubtful: whoever needs it reads it from the leader then.
So no decision is made on a value that was being changed, and 10,000 sessions starting cost no read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket, Entry
from pywhatsweb_runtime.registry import SessionRecord

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 15.0
_ABSENT_FOR_S = 1.0
"""A session that was not found is not looked for again so soon, unless a hint says that it came."""
_MOST_ABSENT = 10_000
_READ_AT_ONCE = 32


class Directory:
    """Made by `following`."""

    def __init__(self, bus: Bus) -> None:
        self.tenants: dict[TenantId, Tenant] = {}
        self.tenants_changed = asyncio.Event()
        self.tenant_bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self.session_bucket = Bucket(bus, streams.SESSIONS_BUCKET)
        self._sessions: dict[str, tuple[int, SessionRecord]] = {}
        self._doubtful: set[str] = set()
        self._absent: dict[str, float] = {}

    def session(self, tenant: TenantId, session: str) -> SessionRecord | None:
        """As it was when `refresh` was last called for it."""
        known = self._sessions.get(f"{tenant}.{session}")
        return None if known is None else known[1]

    def sessions(self) -> list[str]:
        """Of every tenant, as far as is known here: ``<tenant>.<session>``."""
        return list(self._sessions)

    def count_sessions(self) -> int:
        """Of every tenant, as far as is known here."""
        return len(self._sessions)

    def learn(self, key: str, revision: int, record: SessionRecord) -> None:
        """A value that was just read or written."""
        known = self._sessions.get(key)
        if known is None or known[0] <= revision:
            self._sessions[key] = (revision, record)
            self._doubtful.discard(key)
            self._absent.pop(key, None)

    async def refresh(self, tenant: TenantId, sessions: Iterable[str]) -> None:
        """Reads those that are not known for sure. Raises BrokerUnavailable."""
        now = time.monotonic()
        todo = [key for key in {f"{tenant}.{session}" for session in sessions} if self._unsure(key, now)]
        for start in range(0, len(todo), _READ_AT_ONCE):
            await asyncio.gather(*(self._read(key, now) for key in todo[start : start + _READ_AT_ONCE]))

    def _unsure(self, key: str, now: float) -> bool:
        if key in self._doubtful:
            return True
        return key not in self._sessions and self._absent.get(key, 0.0) <= now

    async def _read(self, key: str, now: float) -> None:
        self._doubtful.discard(key)  # before the read: a hint that comes during it counts
        try:
            entry = await self.session_bucket.get(key)
        except (ApiError, BrokerUnavailable):
            self._doubtful.add(key)
            raise
        record = decode_session(entry) if entry is not None else None
        if entry is not None and record is not None:
            self.learn(key, entry.revision, record)
            return
        self._sessions.pop(key, None)
        if len(self._absent) >= _MOST_ABSENT:
            self._absent.clear()
        self._absent[key] = now + _ABSENT_FOR_S

    async def on_session(self, key: str) -> None:
        self._doubtful.add(key)

    async def on_tenant(self, _tenant: str) -> None:
        self.tenants_changed.set()

    async def find(self, tenant: str) -> registry.TenantRecord | None:
        """Its record, looked for anew when it is not known yet."""
        if tenant not in self.tenants:
            await self.sweep_tenants()
        known = self.tenants.get(TenantId(tenant))
        return None if known is None else known.record

    async def sweep_tenants(self) -> None:
        found: dict[TenantId, Tenant] = {}
        for entry in await self.tenant_bucket.all():
            if not subjects.valid_name(entry.key) or entry.value is None:
                continue
            tenant = TenantId(entry.key)
            try:
                found[tenant] = Tenant(tenant, registry.decode_tenant(entry.value))
            except msgspec.MsgspecError:
                log.exception("a tenant's record does not decode; it is not served", tenant=entry.key)
        self.tenants = found

    async def sweep_sessions(self) -> None:
        before = set(self._sessions)
        present: set[str] = set()
        for entry in await self.session_bucket.all():
            present.add(entry.key)
            if (record := decode_session(entry)) is not None:
                known = self._sessions.get(entry.key)
                if known is None or known[0] < entry.revision:
                    self._sessions[entry.key] = (entry.revision, record)
        # The sweep may have been answered by a lagging replica: what it lacks is asked of the leader when needed.
        self._doubtful |= before - present

    async def sweep_for_ever(self) -> None:
        """Runs beside the service."""
        last_sessions = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.tenants_changed.wait(), SWEEP_EVERY_S)
            try:
                self.tenants_changed.clear()
                await self.sweep_tenants()
                if time.monotonic() - last_sessions >= SWEEP_EVERY_S:
                    await self.sweep_sessions()
                    last_sessions = time.monotonic()
            except (ApiError, BrokerUnavailable) as error:
                log.warning("cannot sweep the registry; trying again", error=type(error).__name__)
                await asyncio.sleep(1)

    async def reconnected(self) -> None:
        self._doubtful.update(self._sessions)
        self._absent.clear()
        self.tenants_changed.set()


def decode_session(entry: Entry) -> SessionRecord | None:
    """None for a deletion, and for what does not decode: such a session can be made anew."""
    if entry.value is None:
        return None
    try:
        return registry.decode_session(entry.value)
    except msgspec.MsgspecError:
        log.exception("a session's record does not decode; it counts as absent")
        return None


@contextlib.asynccontextmanager
async def following(bus: Bus) -> AsyncIterator[Directory]:
    """A `Directory`, filled, for as long as the block lasts."""
    directory = Directory(bus)
    bus.on_reconnect.append(directory.reconnected)
    async with (
        directory.tenant_bucket.hints(directory.on_tenant),
        directory.session_bucket.hints(directory.on_session),
    ):
        try:
            await directory.sweep_tenants()
            await directory.sweep_sessions()
            yield directory
        finally:
            bus.on_reconnect.remove(directory.reconnected)
