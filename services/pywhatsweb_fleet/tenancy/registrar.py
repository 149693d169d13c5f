"""The tenants as they are on record, at the broker's border and at the gateway's door, changed in one place.

Three records make a tenant: its entry in the bucket WA_TENANTS (limits, key), its users in ``secrets.json``, its API
keys in WA_KEYS. They are written in such an order that a crash leaves either nothing that anybody could use, or
something that the same request completes.
"""

from __future__ import annotations

import asyncio
import secrets as random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from pywhatsweb.contracts import events, streams
from pywhatsweb.contracts import platform_data as p
from pywhatsweb.contracts.ids import new_tenant_key
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.broker import keys, secrets, tenants
from pywhatsweb_fleet.broker.accounts import Accounts
from pywhatsweb_fleet.broker.config import CONNECTIONS
from pywhatsweb_fleet.broker.operator import Operator
from pywhatsweb_fleet.broker.process import BrokerRefused
from pywhatsweb_fleet.broker.secrets import Secrets, TenantSecrets, TenantUser
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

_Change = Callable[[TenantRecord], TenantRecord]

MAX_USERS: Final = 100
_TRIES: Final = 10
_AGAIN_S: Final = 5.0
_RECORD: Final = (
    "sessions", "commands_per_second", "session_commands_per_second", "commands_per_day",
    "session_commands_per_day", "new_contacts_per_day", "session_new_contacts_per_day", "media_bytes",
    "webhooks",
)  # fmt: skip
"""Fields of a quota that the tenant's record has under the same names."""
_LIMITS: Final = {
    "queue_messages": "queue_messages",
    "scheduled_messages": "scheduled_messages",
    "stored_event_bytes": "events_bytes",
    "replay_seconds": "replay_seconds",
}
"""And those that bound its streams."""


class Registrar:
    """``found``: the secrets as the broker knows them when this begins."""

    def __init__(
        self,
        bus: Bus,
        accounts: Accounts,
        directory: Path,
        found: Secrets,
        *,
        operator: bool,
        replicas: int = 1,
    ) -> None:
        self._bus = bus
        self._accounts = accounts
        self._directory = directory
        self._operator = operator
        self._replicas = replicas
        self.secrets = found
        self._applied = found
        """What the broker has taken; behind `secrets` while it cannot be reached."""
        self._turn = asyncio.Lock()
        self._applying = asyncio.Lock()
        self.tenants = Bucket(bus, streams.TENANTS_BUCKET)
        self.keys = Bucket(bus, keys.KEYS_BUCKET)
        self.leaving: set[str] = set()
        """Tenants that are being erased (`erasing`)."""

    # The broker's border.

    async def _let(self, name: str, tenant: TenantSecrets | None) -> None:
        """Writes down a tenant's users (None: it has none any more) and makes the broker know them."""
        async with self._turn:
            # `pww setup` may have added somebody meanwhile.
            found = await asyncio.to_thread(secrets.load, self._directory)
            self.secrets = found if found is not None else self.secrets
            others = {other: kept for other, kept in self.secrets.tenants.items() if other != name}
            after = msgspec.structs.replace(
                self.secrets, tenants=others if tenant is None else {**others, name: tenant}
            )
            if after != self.secrets:
                await asyncio.to_thread(secrets.save, self._directory, after)
                self.secrets = after
        await self._apply()

    async def _apply(self) -> None:
        """Brings the broker what it has not taken yet: of many changes that waited for this one, all at once."""
        async with self._applying:
            if self._applied != self.secrets:
                wanted = self.secrets
                await self._accounts.apply(self._applied, wanted)
                self._applied = wanted

    async def keep_applied(self) -> None:
        """Runs beside the service: what the broker could not take is brought to it later."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            try:
                await self._apply()
            except (BrokerRefused, BrokerUnavailable, ApiError) as error:
                log.warning("the broker's accounts are not up to date", error=type(error).__name__)

    async def shut_out(self, name: str) -> None:
        """Cuts a tenant's connections; nobody of it comes in any more."""
        tenant = self.secrets.tenants.get(name)
        if tenant is not None:
            await self._let(name, msgspec.structs.replace(tenant, suspended=True))

    async def drop(self, name: str) -> None:
        """Takes a tenant's account away."""
        await self._let(name, None)

    # Tenants.

    async def create(self, args: p.TenantCreate) -> p.TenantCreated:
        name = args.tenant
        if name in self.leaving or name in self.secrets.tenants:
            raise RequestError(ErrorCode.E_CONFLICT, {"tenant": name})
        record = _with_quota(
            TenantRecord(
                key=new_tenant_key(), region=args.region, events=args.events, created_at=keys.now_ms()
            ),
            args.quota or p.Quota(),
        )
        made = await tenants.ensure(self._bus, name, self._replicas, record)
        if made.key != record.key:  # an earlier creation did not come to its end
            record = msgspec.structs.replace(record, key=made.key)
            await self.tenants.put(name, registry.encode(record))
            await tenants.ensure(self._bus, name, self._replicas)
        new = secrets.new_tenant(name)
        if args.quota is not None and args.quota.connections is not None:
            new = msgspec.structs.replace(new, connections=args.quota.connections)
        await keys.ensure_all(self._bus, {name: new}, self._replicas)
        await self._let(name, new)
        log.info("tenant created", tenant=name)
        return p.TenantCreated(
            **msgspec.structs.asdict(self._info(name, record)), login=self._login(name), api_key=new.api_key
        )

    async def show(self, args: p.TenantRef) -> p.TenantInfo:
        return self._info(args.tenant, await self._record(args.tenant))

    async def list(self, _args: object) -> p.TenantList:
        found = [
            self._info(entry.key, registry.decode_tenant(entry.value))
            for entry in sorted(await self.tenants.all())
            if entry.value is not None
        ]
        return p.TenantList(tenants=found)

    async def suspend(self, args: p.TenantRef) -> p.TenantInfo:
        return await self._suspended(args.tenant, suspended=True)

    async def resume(self, args: p.TenantRef) -> p.TenantInfo:
        return await self._suspended(args.tenant, suspended=False)

    async def _suspended(self, name: str, *, suspended: bool) -> p.TenantInfo:
        tenant = self._tenant(name)
        record = await self._change(name, lambda found: msgspec.structs.replace(found, suspended=suspended))
        await self._let(name, msgspec.structs.replace(tenant, suspended=suspended))
        log.info("tenant suspended" if suspended else "tenant resumed", tenant=name)
        return self._info(name, record)

    async def quota(self, args: p.TenantChange) -> p.TenantInfo:
        tenant = self._tenant(args.tenant)
        record = await self._change(args.tenant, lambda found: _with_quota(found, args.quota))
        if args.quota.connections is not None:
            await self._let(args.tenant, msgspec.structs.replace(tenant, connections=args.quota.connections))
        return self._info(args.tenant, record)

    async def _change(self, name: str, change: _Change) -> TenantRecord:
        """Compare and set: somebody else may be changing the record, too."""
        for _ in range(_TRIES):
            entry = await self.tenants.get(name)
            if entry is None or entry.value is None:
                raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
            record = change(registry.decode_tenant(entry.value))
            try:
                await self.tenants.put(name, registry.encode(record), expected=entry.revision)
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
            else:
                return record
        raise RequestError(ErrorCode.E_CONFLICT, {"tenant": name})

    async def _record(self, name: str) -> TenantRecord:
        entry = await self.tenants.get(name)
        if entry is None or entry.value is None:
            raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
        return registry.decode_tenant(entry.value)

    def _tenant(self, name: str) -> TenantSecrets:
        found = self.secrets.tenants.get(name)
        if found is None:
            raise RequestError(ErrorCode.E_TENANT_NOT_FOUND)
        if name in self.leaving:
            raise RequestError(ErrorCode.E_CONFLICT, {"tenant": name})
        return found

    def _info(self, name: str, record: TenantRecord) -> p.TenantInfo:
        tenant = self.secrets.tenants.get(name)
        quota: dict[str, float] = {field: getattr(record, field) for field in _RECORD}
        quota |= {field: getattr(record.limits, own) for field, own in _LIMITS.items()}
        quota["connections"] = (tenant.connections if tenant is not None else 0) or CONNECTIONS
        return p.TenantInfo(
            tenant=name,
            state="deleting" if name in self.leaving else "suspended" if record.suspended else "active",
            region=record.region,
            events=record.events,
            created_at=events.timestamp(record.created_at) if record.created_at else None,
            quota=quota,
        )

    # Users and keys.

    def _login(self, name: str, user: str | None = None) -> p.Login:
        tenant = self.secrets.tenants[name]
        full = name if user is None else f"{name}.{user}"
        if self._operator:
            return p.Login(user=full, credentials=Operator(self.secrets).tenant_credentials(name, user))
        return p.Login(user=full, password=tenant.password if user is None else tenant.users[user].password)

    async def user_create(self, args: p.UserAdd) -> p.Login:
        tenant = self._tenant(args.tenant)
        if args.user in tenant.users:
            raise RequestError(ErrorCode.E_CONFLICT, {"user": args.user})
        if len(tenant.users) >= MAX_USERS:
            raise RequestError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": MAX_USERS})
        made = TenantUser(
            password=random.token_urlsafe(32),
            rights=args.rights,
            sessions=tuple(dict.fromkeys(args.sessions)) if args.sessions is not None else None,
            created_at=keys.now_ms(),
        )
        users = {**tenant.users, args.user: made}
        await self._let(args.tenant, msgspec.structs.replace(tenant, users=users))
        return self._login(args.tenant, args.user)

    async def user_rotate(self, args: p.UserRef) -> p.Login:
        tenant = self._tenant(args.tenant)
        password = random.token_urlsafe(32)
        if args.user is None:
            changed = msgspec.structs.replace(tenant, password=password)
        else:
            user = self._user(tenant, args.user)
            users = {**tenant.users, args.user: msgspec.structs.replace(user, password=password)}
            changed = msgspec.structs.replace(tenant, users=users)
        await self._let(args.tenant, changed)
        return self._login(args.tenant, args.user)

    async def user_delete(self, args: p.UserRef) -> p.Entries:
        tenant = self._tenant(args.tenant)
        self._user(tenant, args.user)
        users = {name: user for name, user in tenant.users.items() if name != args.user}
        await self._let(args.tenant, msgspec.structs.replace(tenant, users=users))
        return await self.entries(p.TenantRef(tenant=args.tenant))

    @staticmethod
    def _user(tenant: TenantSecrets, name: str | None) -> TenantUser:
        user = tenant.users.get(name or "")
        if user is None:
            raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.user"})
        return user

    async def entries(self, args: p.TenantRef) -> p.Entries:
        tenant = self._tenant(args.tenant)
        users = [p.UserInfo(user=args.tenant, rights="full")] + [
            p.UserInfo(
                user=f"{args.tenant}.{name}",
                rights=user.rights,
                sessions=list(user.sessions) if user.sessions is not None else None,
                created_at=_time(user.created_at),
            )
            for name, user in sorted(tenant.users.items())
        ]
        found = [
            _key_info(entry.key.rpartition(".")[2], keys.decode(entry.value))
            for entry in await self.keys.all(f"key.{args.tenant}.*")
            if entry.value is not None
        ]
        return p.Entries(users=users, keys=sorted(found, key=lambda key: (key.created_at or "", key.id)))

    async def key_create(self, args: p.KeyAdd) -> p.KeyCreated:
        self._tenant(args.tenant)
        made = keys.new_key()
        now = keys.now_ms()
        record = keys.KeyRecord(
            hash=keys.digest(made),
            scopes=tuple(scope for scope in keys.ALL_SCOPES if scope in (args.scopes or keys.ALL_SCOPES)),
            sessions=tuple(dict.fromkeys(args.sessions)) if args.sessions is not None else None,
            name=args.name,
            created_at=now,
            expires_at=now + args.expires_in_s * 1000 if args.expires_in_s is not None else 0,
        )
        key_id = keys.key_id(record.hash)
        await self.keys.put(f"key.{args.tenant}.{key_id}", keys.encode(record), expected=0)
        return p.KeyCreated(**msgspec.structs.asdict(_key_info(key_id, record)), key=made)

    async def key_delete(self, args: p.KeyRef) -> p.Entries:
        self._tenant(args.tenant)
        key = f"key.{args.tenant}.{args.id}"
        if await self.keys.get(key) is None:
            raise RequestError(ErrorCode.E_INVALID_FIELD, {"path": "$.id"})
        await self.keys.delete(key)
        return await self.entries(p.TenantRef(tenant=args.tenant))


def _key_info(key_id: str, record: keys.KeyRecord) -> p.KeyInfo:
    return p.KeyInfo(
        id=key_id,
        name=record.name,
        scopes=list(record.scopes),
        sessions=list(record.sessions) if record.sessions is not None else None,
        created_at=_time(record.created_at),
        expires_at=_time(record.expires_at),
    )


def _time(milliseconds: int) -> str | None:
    return events.timestamp(milliseconds) if milliseconds else None


def _with_quota(record: TenantRecord, quota: p.Quota) -> TenantRecord:
    asked = {name: value for name in _RECORD if (value := getattr(quota, name)) is not None}
    limits = {own: value for name, own in _LIMITS.items() if (value := getattr(quota, name)) is not None}
    return msgspec.structs.replace(record, **asked, limits=msgspec.structs.replace(record.limits, **limits))
