"""API keys as this gateway knows them: a mirror of the bucket, so that a request costs no round trip."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec
import structlog

from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts.ids import CommandId, SessionId, TenantId, TenantKey
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker import keys as record
from pywhatsweb_fleet.broker.keys import KEYS_BUCKET, KeyRecord, Scope
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket, Entry

log = structlog.get_logger(__name__)

SWEEP_EVERY_S: Final = 30.0
USED_EVERY_MS: Final = 60_000
MAX_OVERLAP_S: Final = 30 * 86_400
MAX_KEYS: Final = 100
"""Of one tenant."""


class Known(NamedTuple):
    id: str
    tenant: TenantId
    record: KeyRecord

    def alive(self) -> bool:
        return not self.record.expires_at or self.record.expires_at > record.now_ms()


class Keys:
    """Made by `following`."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, KEYS_BUCKET)
        self._tenants = Bucket(bus, streams.TENANTS_BUCKET)
        self.suspended: set[str] = set()
        """Tenants whose keys open nothing just now."""
        self._secrets: dict[str, TenantKey] = {}
        self._known: dict[str, Known] = {}
        self._used: dict[str, int] = {}
        """By id: when this process last wrote the key's use."""
        self._writes: set[asyncio.Task[None]] = set()
        self.signing = b""

    async def verify(self, api_key: str) -> Known | None:
        """The key's record, when there is one and it is not over."""
        hashed = record.digest(api_key)
        key_id = record.key_id(hashed)
        known = self._known.get(key_id) or await self._look(key_id)
        if known is None or not hmac.compare_digest(known.record.hash, hashed) or not known.alive():
            return None
        self._note_use(known)
        return known

    def get(self, key_id: str) -> Known | None:
        """A key that is not revoked and not over, as far as this gateway has heard."""
        known = self._known.get(key_id)
        if known is None or known.tenant in self.suspended:
            return None
        return known if known.alive() else None

    def message_id(self, tenant: TenantId, session: str, command: CommandId) -> str | None:
        """Under which a command goes to WhatsApp; None of a tenant that this gateway has not heard of yet, and of a
        command to an inbox: its session is not known yet."""
        secret = self._secrets.get(tenant) if subjects.valid_name(session) else None
        return None if secret is None else ids.whatsapp_message_id(secret, SessionId(session), command)

    def of(self, tenant: TenantId) -> list[Known]:
        return sorted(
            (k for k in self._known.values() if k.tenant == tenant), key=lambda k: k.record.created_at
        )

    async def last_used(self, tenant: TenantId) -> dict[str, int]:
        entries = await self._bucket.all(f"used.{tenant}.*")
        return {e.key.rpartition(".")[2]: int(e.value) for e in entries if e.value and e.value.isdigit()}

    async def create(
        self,
        tenant: TenantId,
        *,
        name: str,
        scopes: tuple[Scope, ...],
        sessions: tuple[str, ...] | None,
        expires_at: int = 0,
    ) -> tuple[str, Known]:
        """A new key, which is nowhere kept, and its record."""
        if sum(known.alive() for known in self.of(tenant)) >= MAX_KEYS:
            raise GatewayError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": MAX_KEYS})
        api_key = record.new_key()
        hashed = record.digest(api_key)
        made = Known(
            record.key_id(hashed),
            tenant,
            KeyRecord(
                hash=hashed,
                scopes=scopes,
                sessions=sessions,
                name=name,
                created_at=record.now_ms(),
                expires_at=expires_at,
            ),
        )
        await self._bucket.put(f"key.{tenant}.{made.id}", record.encode(made.record), expected=0)
        self._known[made.id] = made
        return api_key, made

    async def rotate(self, tenant: TenantId, key_id: str, overlap_s: float) -> tuple[str, Known]:
        """A new key with the rights of the old one, which ends when the overlap does."""
        old = self._own(tenant, key_id)
        api_key, made = await self.create(
            tenant, name=old.record.name, scopes=old.record.scopes, sessions=old.record.sessions
        )
        ends = record.now_ms() + int(overlap_s * 1000)
        if old.record.expires_at:
            ends = min(ends, old.record.expires_at)
        changed = msgspec.structs.replace(old.record, expires_at=ends)
        await self._bucket.put(f"key.{tenant}.{key_id}", record.encode(changed))
        self._known[key_id] = Known(key_id, tenant, changed)
        return api_key, made

    async def revoke(self, tenant: TenantId, key_id: str) -> None:
        self._own(tenant, key_id)
        await self._bucket.delete(f"key.{tenant}.{key_id}")
        self._known.pop(key_id, None)

    def _own(self, tenant: TenantId, key_id: str) -> Known:
        known = self._known.get(key_id)
        if known is None or known.tenant != tenant:
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"path": "$.id"})
        return known

    def _note_use(self, known: Known) -> None:
        now = record.now_ms()
        if now - self._used.get(known.id, 0) < USED_EVERY_MS:
            return
        self._used[known.id] = now
        task = asyncio.create_task(self._write_use(known, now))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write_use(self, known: Known, now: int) -> None:
        with contextlib.suppress(BrokerUnavailable, ApiError):  # it is only for people to look at
            await self._bucket.put(f"used.{known.tenant}.{known.id}", str(now).encode())

    async def _look(self, key_id: str) -> Known | None:
        """A key that another gateway made a moment ago."""
        for entry in await self._bucket.all(f"key.*.{key_id}"):
            self._take(entry)
        return self._known.get(key_id)

    def _take(self, entry: Entry) -> None:
        kind, _, rest = entry.key.partition(".")
        tenant, _, key_id = rest.partition(".")
        if kind != "key" or not key_id:
            return
        if entry.value is None:
            self._known.pop(key_id, None)
            return
        try:
            self._known[key_id] = Known(key_id, TenantId(tenant), record.decode(entry.value))
        except msgspec.MsgspecError:
            log.warning("the record of a key is not readable", key=key_id)

    async def _changed(self, entry: Entry) -> None:
        self._take(entry)

    async def _tenant_changed(self, entry: Entry) -> None:
        """A hint, and enough of one: what it says wrongly the next sweep puts right."""
        self._take_tenant(entry)

    def _take_tenant(self, entry: Entry) -> None:
        try:
            found = registry.decode_tenant(entry.value) if entry.value is not None else None
        except msgspec.MsgspecError:
            found = None
        suspended = found is not None and found.suspended
        (self.suspended.add if suspended else self.suspended.discard)(entry.key)
        if found is not None:
            self._secrets[entry.key] = TenantKey(found.key)
        else:
            self._secrets.pop(entry.key, None)

    async def sweep(self) -> None:
        """Everything anew: a change may have been missed during a reconnect."""
        for tenant in await self._tenants.all():
            self._take_tenant(tenant)
        entries = await self._bucket.all("key.>")
        there = {entry.key.rpartition(".")[2] for entry in entries}
        for entry in entries:
            self._take(entry)
        for key_id in self._known.keys() - there:
            known = self._known[key_id]
            if known.record.created_at < record.now_ms() - 5_000:  # else it was made while we read
                del self._known[key_id]

    async def sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except (BrokerUnavailable, ApiError) as error:
                log.warning("the keys could not be read again", error=str(error))

    async def load_signing_key(self) -> None:
        """The secret that signs tickets, the same for all gateways."""
        entry = await self._bucket.get("sign")
        if entry is None:
            with contextlib.suppress(ApiError):
                await self._bucket.put("sign", secrets.token_bytes(32), expected=0)
            entry = await self._bucket.get("sign")
        if entry is None or not entry.value:
            raise ApiError(WRONG_LAST_SEQUENCE, "the signing key was deleted while it was made")
        self.signing = entry.value


@contextlib.asynccontextmanager
async def following(bus: Bus, replicas: int = 1) -> AsyncIterator[Keys]:
    """The keys, kept up to date while the block lasts."""
    await record.ensure_bucket(bus, replicas)
    await provision.ensure_stream(bus, streams.bucket(streams.TENANTS_BUCKET, replicas))
    keys = Keys(bus)
    await keys.load_signing_key()
    async with (
        keys._bucket.changes(keys._changed, "key.>"),  # noqa: SLF001 - made here
        keys._tenants.changes(keys._tenant_changed),  # noqa: SLF001
    ):
        bus.on_reconnect.append(keys.sweep)
        try:
            await keys.sweep()
            yield keys
        finally:
            bus.on_reconnect.remove(keys.sweep)
