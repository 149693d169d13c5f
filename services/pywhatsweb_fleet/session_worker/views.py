"""What this worker sees of the fleet: tenants, wanted sessions, and who owns which."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.session_worker.placement import SessionKey
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, Bus
from pywhatsweb_runtime.direct import Reader
from pywhatsweb_runtime.kv import Bucket, Entry

log = structlog.get_logger(__name__)


class Owner:
    """``sequence`` is the epoch, and what a compare-and-set to take the session over expects."""

    __slots__ = ("sequence", "worker")

    def __init__(self, worker: str | None, sequence: int) -> None:
        self.worker = worker
        self.sequence = sequence


class Views:
    """Kept current by the broker's pushes; `sweep` reads everything, since a push may be missed."""

    def __init__(self, bus: Bus, reader: Reader, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._reader = reader
        self._changed = changed
        self._tenants_bucket = Bucket(bus, streams.TENANTS_BUCKET)
        self._sessions_bucket = Bucket(bus, streams.SESSIONS_BUCKET)
        self.tenants: dict[str, registry.TenantRecord] = {}
        self.sessions: dict[SessionKey, registry.SessionRecord] = {}
        self.owners: dict[SessionKey, Owner] = {}
        self._revisions: dict[SessionKey, int] = {}
        """Of the records that the last sweep read and nobody has pushed since."""

    @contextlib.asynccontextmanager
    async def running(self):  # type: ignore[no-untyped-def]
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._tenants_bucket.changes(self._on_tenant))
            await stack.enter_async_context(self._sessions_bucket.changes(self._on_session))
            subscription = await self._bus.client.subscribe(
                subjects.ALL_OWNERSHIP, cb=self._on_own, pending_msgs_limit=-1
            )
            stack.push_async_callback(subscription.unsubscribe)
            await self.sweep()
            yield self

    async def sweep(self) -> None:
        """Reads tenants, sessions and owners anew. Raises BrokerUnavailable."""
        tenants = {entry.key: entry for entry in await self._tenants_bucket.all()}
        self.tenants = {
            key: record for key, entry in tenants.items() if (record := _tenant(entry)) is not None
        }
        sessions: dict[SessionKey, registry.SessionRecord] = {}
        revisions: dict[SessionKey, int] = {}
        for entry in await self._sessions_bucket.all():
            tenant, _, name = entry.key.partition(".")
            key = tenant, name
            known = self.sessions.get(key) if self._revisions.get(key) == entry.revision else None
            session = known or _session(entry)
            if session is not None and tenant in self.tenants:
                sessions[key] = session
                revisions[key] = entry.revision
        self.sessions, self._revisions = sessions, revisions
        for tenant in {tenant for tenant, _ in sessions}:
            await self._sweep_owners(tenant)
        self._changed()

    async def _sweep_owners(self, tenant: str) -> None:
        stream = streams.events_name(TenantId(tenant))
        sequence = 1
        while True:
            try:
                found = await self._reader.batch(stream, f"wa.own.{tenant}.*", sequence, limit=1000)
            except ApiError as error:
                log.warning("a tenant's owners cannot be read", tenant=tenant, code=error.code)
                return
            for stored in found:
                self._see_owner(stored.subject, stored.data, stored.sequence)
            if len(found) < 1000:
                return
            sequence = found[-1].sequence + 1

    async def owner(self, key: SessionKey) -> Owner:
        """As the stream's leader has it now."""
        stored = await self._bus.last(streams.events_name(TenantId(key[0])), f"wa.own.{key[0]}.{key[1]}")
        if stored is None:
            return Owner(None, 0)
        self._see_owner(stored.subject, stored.data, stored.sequence)
        return self.owners[key]

    async def session(self, key: SessionKey) -> tuple[registry.SessionRecord, int] | None:
        """The record and its revision, as the bucket's leader has it now."""
        entry = await self._sessions_bucket.get(".".join(key))
        record = _session(entry) if entry is not None else None
        return (record, entry.revision) if entry is not None and record is not None else None

    async def write_session(self, key: SessionKey, record: registry.SessionRecord, revision: int) -> None:
        """Raises ApiError(WRONG_LAST_SEQUENCE) when somebody else wrote it meanwhile."""
        await self._sessions_bucket.put(".".join(key), registry.encode(record), expected=revision)

    async def delete_session(self, key: SessionKey) -> None:
        await self._sessions_bucket.delete(".".join(key))

    async def _on_tenant(self, entry: Entry) -> None:
        record = _tenant(entry)
        if record is not None:
            self.tenants[entry.key] = record
        else:
            self.tenants.pop(entry.key, None)
        self._changed()

    async def _on_session(self, entry: Entry) -> None:
        tenant, _, session = entry.key.partition(".")
        self._revisions.pop((tenant, session), None)
        record = _session(entry)
        if record is not None:
            self.sessions[tenant, session] = record
        else:
            self.sessions.pop((tenant, session), None)
        self._changed()

    async def _on_own(self, message: Msg) -> None:
        sequence = (message.headers or {}).get("Nats-Sequence")
        if sequence is not None:
            self._see_owner(message.subject, message.data, int(sequence))
            self._changed()

    def _see_owner(self, subject: str, data: bytes, sequence: int) -> None:
        key = subjects.parse_session(subject)
        if key is None:
            return
        known = self.owners.get(key)
        if known is not None and known.sequence > sequence:
            return
        try:
            worker = registry.decode_own(data).worker
        except msgspec.MsgspecError:
            worker = None
        self.owners[key] = Owner(worker, sequence)


def _tenant(entry: Entry) -> registry.TenantRecord | None:
    if entry.value is None:
        return None
    try:
        return registry.decode_tenant(entry.value)
    except msgspec.MsgspecError:
        log.warning("a tenant's record does not decode", tenant=entry.key)
        return None


def _session(entry: Entry) -> registry.SessionRecord | None:
    if entry.value is None:
        return None
    try:
        return registry.decode_session(entry.value)
    except msgspec.MsgspecError:
        log.warning("a session's record does not decode", key_name=entry.key)
        return None
