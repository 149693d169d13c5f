"""API keys on record: bucket WA_KEYS, written by whoever makes or ends a key, read by every gateway.

| key in the bucket | value |
|---|---|
| ``key.<tenant>.<id>`` | `KeyRecord`; gone when the key is revoked |
| ``used.<tenant>.<id>`` | when it was last used, milliseconds since 1970 in ASCII; at most one write a minute |
| ``sign`` | the 32 bytes that sign tickets, made by the first gateway |

A key is 256 random bits, so a plain SHA-256 of it is enough: there is nothing to guess. Its id is a part of that hash.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Literal

import msgspec

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.broker.secrets import TenantSecrets
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, Bus
from pywhatsweb_runtime.kv import Bucket

KEYS_BUCKET = "WA_KEYS"
Scope = Literal["send", "read", "board", "manage", "admin"]
"""``board``: moving chats on the Kanban board, which ``manage`` allows too."""
ALL_SCOPES: tuple[Scope, ...] = ("send", "read", "board", "manage", "admin")
PREFIX = "pww_"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a key; never the key itself."""

    hash: bytes
    """SHA-256 of the key."""
    scopes: tuple[Scope, ...] = ALL_SCOPES
    sessions: tuple[str, ...] | None = None
    """The only sessions that it may touch; None: all of the tenant's."""
    name: str = ""
    created_at: int = 0
    expires_at: int = 0
    """Milliseconds since 1970; 0: never. A key that was rotated has its overlap's end here."""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(KeyRecord).decode


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(api_key: str) -> bytes:
    return hashlib.sha256(api_key.encode()).digest()


def key_id(hashed: bytes) -> str:
    """16 hex digits that name a key in answers, logs and the bucket."""
    return hashed.hex()[:16]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def ensure_bucket(bus: Bus, replicas: int = 1) -> None:
    await provision.ensure_stream(bus, streams.bucket(KEYS_BUCKET, replicas))


async def ensure_all(bus: Bus, tenants: Mapping[str, TenantSecrets], replicas: int = 1) -> None:
    """The bucket, and the first key of every tenant (all scopes); one that was revoked stays revoked."""
    await ensure_bucket(bus, replicas)
    for name, tenant in tenants.items():
        hashed = digest(tenant.api_key)
        record = KeyRecord(hash=hashed, name="first", created_at=now_ms())
        try:
            await Bucket(bus, KEYS_BUCKET).put(f"key.{name}.{key_id(hashed)}", encode(record), expected=0)
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
