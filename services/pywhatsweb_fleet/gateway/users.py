"""People who sign in to the dashboard: bucket WA_KEYS, beside the API keys.

| key in the bucket | value |
|---|---|
| ``user.<tenant>.<login>`` | `UserRecord`; gone when the user is |
| ``tries.<tenant>.<login>`` | `Tries`: wrong passwords in a row, and until when none is looked at |

Passwords are hashed with Argon2id. After five wrong ones in a row a login is locked for a minute, and twice as long at
each further one, up to an hour; all replicas share the count.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal, NamedTuple

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.subjects import valid_name
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import ALL_SCOPES, KEYS_BUCKET, Scope, now_ms
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.kv import Bucket

Role = Literal["admin", "supervisor", "attendant"]
SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    "admin": frozenset(ALL_SCOPES),
    "supervisor": frozenset(("send", "read", "board", "manage")),
    "attendant": frozenset(("send", "read", "board")),
}
MAX_USERS: Final = 500
"""Of one tenant."""
_FREE_TRIES: Final = 5
_FIRST_LOCK_MS: Final = 60_000
_LAST_LOCK_MS: Final = 3_600_000
_AT_ONCE: Final = 2
"""Hashes being made: each takes 19 MiB and a few hundredths of a second."""

# OWASP's least for Argon2id.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class UserRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    hash: str
    """Argon2id, with its parameters and salt."""
    role: Role = "attendant"
    name: str = ""
    created_at: int = 0
    changed_at: int = 0
    """Milliseconds since 1970: who signed in before has to again."""


class Tries(msgspec.Struct, frozen=True, omit_defaults=True):
    count: int = 0
    locked_until: int = 0


class User(NamedTuple):
    tenant: TenantId
    login: str
    record: UserRecord


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UserRecord).decode
_decode_tries = msgspec.msgpack.Decoder(Tries).decode


class Users:
    """Holds no state but how many hashes are being made."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, KEYS_BUCKET)
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._nobody: str | None = None

    async def sign_in(self, tenant: str, login: str, password: str) -> User | None:
        """The user, when the password is right. Takes as long for a login that is not there.

        Raises GatewayError(E_RATE_LIMITED) while the login is locked.
        """
        if not valid_name(tenant) or not valid_name(login):
            return None
        tries, _ = await self._tries(tenant, login)
        if (left := tries.locked_until - now_ms()) > 0:
            raise GatewayError(ErrorCode.E_RATE_LIMITED, {"retry_after_ms": left})
        user = await self.get(tenant, login)
        right = await self._verify(await self._hash_of(user), password)
        if user is None or not right:
            await self._note_wrong(tenant, login)
            return None
        if tries.count:
            await self._bucket.delete(f"tries.{tenant}.{login}")
        return user

    async def get(self, tenant: str, login: str) -> User | None:
        entry = await self._bucket.get(f"user.{tenant}.{login}")
        if entry is None or entry.value is None:
            return None
        return User(TenantId(tenant), login, _decode(entry.value))

    async def of(self, tenant: TenantId) -> list[User]:
        entries = await self._bucket.all(f"user.{tenant}.*")
        found = [
            User(tenant, one.key.rpartition(".")[2], _decode(one.value))
            for one in entries
            if one.value is not None
        ]
        return sorted(found, key=lambda user: user.login)

    async def create(self, tenant: TenantId, login: str, password: str, role: Role, name: str) -> User:
        """Raises GatewayError: E_CONFLICT when the login is taken, E_QUOTA_EXCEEDED."""
        if len(await self.of(tenant)) >= MAX_USERS:
            raise GatewayError(ErrorCode.E_QUOTA_EXCEEDED, {"limit": MAX_USERS})
        now = now_ms()
        made = UserRecord(
            hash=await self._hash(password), role=role, name=name, created_at=now, changed_at=now
        )
        newest = await self._bucket.newest(f"user.{tenant}.{login}")
        if newest is not None and newest.value is not None:
            raise GatewayError(ErrorCode.E_CONFLICT, {"path": "$.user"})
        try:
            await self._bucket.put(
                f"user.{tenant}.{login}", _encode(made), expected=0 if newest is None else newest.revision
            )
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            raise GatewayError(ErrorCode.E_CONFLICT, {"path": "$.user"}) from None
        return User(tenant, login, made)

    async def change(
        self, tenant: TenantId, login: str, *, password: str | None, role: Role | None, name: str | None
    ) -> User:
        """What is None stays. Whoever is signed in under this login is out. Raises GatewayError(E_USER_NOT_FOUND)."""
        user = await self._there(tenant, login)
        changes = {
            "role": role,
            "name": name,
            "hash": None if password is None else await self._hash(password),
        }
        given = {key: value for key, value in changes.items() if value is not None}
        record = msgspec.structs.replace(user.record, changed_at=now_ms(), **given)
        await self._bucket.put(f"user.{tenant}.{login}", _encode(record))
        await self._bucket.delete(f"tries.{tenant}.{login}")
        return User(tenant, login, record)

    async def remove(self, tenant: TenantId, login: str) -> None:
        """Raises GatewayError(E_USER_NOT_FOUND)."""
        await self._there(tenant, login)
        await self._bucket.delete(f"user.{tenant}.{login}")

    async def _there(self, tenant: TenantId, login: str) -> User:
        user = await self.get(tenant, login) if valid_name(login) else None
        if user is None:
            raise GatewayError(ErrorCode.E_USER_NOT_FOUND)
        return user

    async def _tries(self, tenant: str, login: str) -> tuple[Tries, int]:
        entry = await self._bucket.newest(f"tries.{tenant}.{login}")
        if entry is None:
            return Tries(), 0
        return (Tries() if entry.value is None else _decode_tries(entry.value)), entry.revision

    async def _note_wrong(self, tenant: str, login: str) -> None:
        while True:
            tries, revision = await self._tries(tenant, login)
            count = tries.count + 1
            over = count - _FREE_TRIES
            lock = 0 if over < 0 else now_ms() + min(_FIRST_LOCK_MS * 2 ** min(over, 10), _LAST_LOCK_MS)
            try:
                key = f"tries.{tenant}.{login}"
                await self._bucket.put(key, _encode(Tries(count, lock)), expected=revision)
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
            else:
                return  # else another one was wrong at the same time, and both count

    async def _hash_of(self, user: User | None) -> str:
        if user is not None:
            return user.record.hash
        if self._nobody is None:
            self._nobody = await self._hash("nobody's password")
        return self._nobody

    async def _hash(self, password: str) -> str:
        async with self._room:
            return await asyncio.to_thread(_hasher.hash, password)

    async def _verify(self, hashed: str, password: str) -> bool:
        async with self._room:
            return await asyncio.to_thread(_matches, hashed, password)


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False
