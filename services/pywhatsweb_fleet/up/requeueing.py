"""Streams out of a backup, and the database brought in line with them."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pywhatsweb.contracts import codec, events, ids, streams, subjects
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.ids import SessionId, TenantId, TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.up import snapshots
from pywhatsweb_fleet.up.backups import Manifest
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.kv import Bucket

Execute = Callable[..., list[Any]]
"""A statement with ``?`` for its values, and the values; its rows."""

_UNENDED: Final = "status IN ('accepted', 'queued')"


async def bring_back(
    bus: Bus, manifest: Manifest, spool: Path, execute: Execute, *, keep_queues: bool
) -> int:
    """Brings the streams back and the database in line with them; how many commands end as `unknown`."""
    for name, about in manifest.streams.items():
        with (spool / "streams" / name).open("rb") as file:
            await snapshots.load(bus, name, about, snapshots.pieces(file))
    # Nobody of the other fleet writes here: who comes first may own a session, whatever the numbers were.
    execute("DELETE FROM fences")
    execute("DELETE FROM duties")
    execute("UPDATE sessions SET epoch = 0, sequence = 0")
    unknown = 0
    for tenant in manifest.tenants:
        await _follow(bus, tenant, execute)
        if not keep_queues:
            unknown += await _drop_queues(bus, TenantId(tenant), execute)
    return unknown


async def _follow(bus: Bus, tenant: str, execute: Execute) -> None:
    """Readers that keep their place in the database know the stream by its birthday, which is a new one."""
    info = await bus.api(f"STREAM.INFO.{streams.events_name(TenantId(tenant))}")
    last, born = int(info["state"]["last_seq"]), str(info["created"])
    for table, place in (("kanban_places", "sequence"), ("webhooks", "floor")):
        # The database is the younger copy: it may have seen events that did not come back.
        execute(f"UPDATE {table} SET {place} = ? WHERE tenant = ? AND {place} > ?", last, tenant, last)
        execute(
            f"UPDATE {table} SET stream = ?, holder = '', held_until = 0 WHERE tenant = ?",
            born,
            tenant,
        )


async def _drop_queues(bus: Bus, tenant: TenantId, execute: Execute) -> int:
    """Empties what was still to be sent, and tells each of its commands `unknown`."""
    entry = await Bucket(bus, streams.TENANTS_BUCKET).get(tenant)
    if entry is None or entry.value is None:
        return 0
    record = registry.decode_tenant(entry.value)
    now = events.timestamp()
    waiting = {
        (str(row[0]), str(row[1]))
        for row in execute(
            f"SELECT session, command_id FROM idempotency WHERE tenant = ? AND {_UNENDED}", tenant
        )
    }
    commands = streams.commands_name(tenant)
    for addressee, command, sequence in await _undispatched(bus, tenant, commands):
        session = _session(execute, tenant, addressee, command)
        # On record too: the same command, published once more, is a repeat of what may have been sent. One that is on
        # record was dispatched, and only not removed yet.
        if _remember(execute, tenant, session, command, sequence):
            waiting.add((session, command))
    for session, command in sorted(waiting):
        await _tell_unknown(bus, tenant, record, session, command, now)
    execute(
        "UPDATE idempotency SET status = ?, rank = ? WHERE tenant = ? AND " + _UNENDED,
        MessageStatus.UNKNOWN.value,
        MessageStatus.UNKNOWN.rank,
        tenant,
    )
    seen = execute("SELECT coalesce(max(command_seq), 0) FROM idempotency WHERE tenant = ?", tenant)
    for name in (commands, streams.schedules_name(tenant), streams.outbox_name(tenant)):
        state = (await bus.api(f"STREAM.INFO.{name}"))["state"]
        # Sequences go on from beyond those on record: a new command is never taken for a delivery of an old one.
        beyond = max(int(state["last_seq"]), int(seen[0][0]) if name == commands else 0) + 1
        await bus.api(f"STREAM.PURGE.{name}", {"seq": beyond}, deadline=60.0)
    return len(waiting)


async def _undispatched(bus: Bus, tenant: TenantId, stream: str) -> list[tuple[str, str, int]]:
    """Session (or inbox), id and sequence of send commands that the dispatcher had not taken yet."""
    found = []
    sequence = 1
    async with reading(bus) as reader:
        while batch := await reader.batch(
            stream, subjects.all_commands(tenant), sequence, limit=64, deadline=30.0
        ):
            sequence = batch[-1].sequence + 1
            for stored in batch:
                subject = subjects.parse_command(stored.subject)
                command = _command_id(stored.data) or stored.headers.get("Nats-Msg-Id")
                if subject is not None and command and subjects.valid_addressee(subject.session):
                    found.append((subject.session, command, stored.sequence))
    return found


def _command_id(body: bytes) -> str | None:
    try:
        value: Any = codec.decode(body, dict[str, Any]).get("id")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return value if isinstance(value, str) else None


def _session(execute: Execute, tenant: str, addressee: str, command: str) -> str:
    """Whom an inbox had given the command to already; else where it was sent to."""
    rows = execute(
        "SELECT session FROM inbox_commands WHERE tenant = ? AND inbox = ? AND command_id = ?",
        tenant, addressee, command,
    )  # fmt: skip
    return str(rows[0][0]) if rows else addressee


def _remember(execute: Execute, tenant: str, session: str, command: str, sequence: int) -> bool:
    """Whether it was not on record."""
    now = time.time_ns() // 1_000_000
    made = execute(
        "INSERT INTO idempotency (tenant, session, command_id, digest, command_seq, status, rank, error, message_id, "
        "claimed_at, changed_at, expires_at) VALUES (?, ?, ?, '', ?, ?, ?, NULL, NULL, ?, ?, ?) "
        "ON CONFLICT (tenant, session, command_id) DO NOTHING RETURNING command_id",
        tenant, session, command, sequence, MessageStatus.UNKNOWN.value, MessageStatus.UNKNOWN.rank, now, now,
        now + 7 * 86_400_000,
    )  # fmt: skip
    return bool(made)


async def _tell_unknown(  # noqa: PLR0917 - one call
    bus: Bus, tenant: TenantId, record: registry.TenantRecord, session: str, command: str, now: str
) -> None:
    event = events.StatusEvent(
        id=ids.stable_event_id(TenantKey(record.key), "status", session, command, "unknown", "restored"),
        tenant_id=tenant,
        session_id=session,
        timestamp=now,
        data=Status(command_id=command, status=MessageStatus.UNKNOWN),
    )
    headers = events.headers(event, record.events) | {"Nats-TTL": f"{record.limits.replay_seconds}s"}
    subject = subjects.event_ingest(tenant, SessionId(session), "status")
    await bus.request(subject, codec.encode(event, record.events), headers=headers)
