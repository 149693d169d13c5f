"""What services know of tenants, sessions and workers, and where it lies on the broker.

| record | where | written by |
|---|---|---|
| `TenantRecord` | bucket WA_TENANTS, key ``<tenant>`` | whoever creates tenants (``pww``) |
| `SessionRecord` | bucket WA_SESSIONS, key ``<tenant>.<session>`` | control plane; the owner, when it is done |
| `WorkerRecord` | bucket WA_WORKERS, key ``<worker>``, gone 5 s after its last renewal | the worker |
| `OwnRecord` | ``wa.own.<tenant>.<session>`` in the tenant's events stream; its sequence is the epoch | workers |
| `NowRecord` | ``wa.now.<tenant>.<session>`` in the tenant's events stream, fenced by the epoch | the owner |
| `AlarmsRecord` | ``wa.now.<tenant>.-`` there | the dispatcher that takes the tenant's commands |

All are MessagePack maps; fields are only added.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pywhatsweb.contracts.streams import TenantLimits

Wanted = Literal["running", "stopped", "logging_out", "deleting"]


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    key: bytes
    """The secret of `pywhatsweb.contracts.ids`: 32 bytes."""
    region: str = "BR"
    """ISO 3166 region in which numbers without a country code are read."""
    events: Literal["msgpack", "json"] = "msgpack"
    suspended: bool = False
    limits: TenantLimits = TenantLimits()
    commands_per_second: float = 0
    """Quota for the whole tenant; 0: none. Also a session's own, below."""
    session_commands_per_second: float = 0
    sessions: int = 0
    """How many sessions the tenant may have; 0: as many as it likes."""
    commands_per_day: int = 0
    """Counted from midnight UTC; 0: none. Also a session's own, and people never written to or heard from, below."""
    session_commands_per_day: int = 0
    new_contacts_per_day: int = 0
    session_new_contacts_per_day: int = 0
    """People whom that session never wrote to or heard from."""
    media_bytes: int = 0
    """Of stored files; 0: no limit."""
    webhooks: int = 0
    """Endpoints; 0: `webhook_data.MAX_WEBHOOKS`."""
    created_at: int = 0
    """Milliseconds since 1970; 0: before this was written down."""


class PairingRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    method: Literal["qr", "code"] = "qr"
    phone_number: str | None = None
    code: str | None = None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wanted of a session. Only one in ``stopped`` needs no owner."""

    engine: str
    wanted: Wanted = "running"
    generation: int = 1
    """Goes up at each start and restart: the owner closes and opens the link when it changes."""
    pairing: PairingRecord = PairingRecord()
    settings: dict[str, Any] = {}
    proxy: str | None = None
    metadata: dict[str, Any] = {}
    created_at: int = 0
    updated_at: int = 0


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    engines: list[str]
    capabilities: dict[str, list[str]] = {}
    """Of each engine that declares some (`contracts.capabilities`)."""
    versions: dict[str, str] = {}
    """Of each engine's library, as far as it is told."""
    sessions: int = 0
    draining: bool = False
    started_at: int = 0


class OwnRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    worker: str | None
    """None: given back (drained, stopped)."""


class QrRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    expires_at: int = 0
    attempt: int = 0


class NowRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: str
    """A `contracts.events.SessionStatus`."""
    since: int = 0
    engine: str | None = None
    worker: str | None = None
    epoch: int = 0
    reason: str | None = None
    error: str | None = None
    """Catalogue code."""
    phone_number: str | None = None
    lid: str | None = None
    name: str | None = None
    qr: QrRecord | None = None
    pairing_code: QrRecord | None = None
    cold_until: int = 0
    """Milliseconds since 1970 until which the session writes to nobody new: WhatsApp limited its reaching out (463)."""
    alarms: dict[str, int] = {}
    """What its owner told and did not end: `alarms.Reading.key` → milliseconds since 1970."""


class AlarmsRecord(msgspec.Struct, frozen=True, kw_only=True):
    standing: dict[str, int]
    """As `NowRecord.alarms`, of what the dispatcher tells."""


encode = msgspec.msgpack.Encoder().encode
decode_tenant = msgspec.msgpack.Decoder(TenantRecord).decode
decode_session = msgspec.msgpack.Decoder(SessionRecord).decode
decode_worker = msgspec.msgpack.Decoder(WorkerRecord).decode
decode_own = msgspec.msgpack.Decoder(OwnRecord).decode
decode_now = msgspec.msgpack.Decoder(NowRecord).decode
decode_alarms = msgspec.msgpack.Decoder(AlarmsRecord).decode
