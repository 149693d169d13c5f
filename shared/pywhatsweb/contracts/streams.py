"""The streams, consumers and buckets of the fleet, as JetStream's API takes them.

Each tenant has its own set: dedupe ids, limits, retention and deletion are then the tenant's alone, and fsyncs are
spread over streams. `max_bytes` reserves storage on the server, so the sum over tenants must fit `max_file`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pywhatsweb.contracts.ids import TenantId

NS = 1_000_000_000
DEDUPE_WINDOW_S = 120
"""How long JetStream itself removes repeats; beyond it the durable idempotency record does."""

DISPATCHER = "dispatcher"
"""Durable of the dispatcher replicas on a commands stream; its one priority group has the same name."""

WORKER_TTL_S = 5.0
"""A worker whose liveness key is older than this is dead; it renews every 1.5 s and fences itself after 3.5 s."""

RECORDER = "persistence"
"""Durable on an events stream of those who write the record."""

EVENT_READERS = (RECORDER, "kanban", "webhooks", "gateway")
"""Names of the fleet's own durables on an events stream: never a tenant's, whose are called ``user-…``."""

TENANTS_BUCKET = "WA_TENANTS"
SESSIONS_BUCKET = "WA_SESSIONS"
WORKERS_BUCKET = "WA_WORKERS"


class TenantLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant's streams may hold."""

    commands_bytes: int = 256 * 2**20
    outbox_bytes: int = 256 * 2**20
    events_bytes: int = 1024 * 2**20
    deadletter_bytes: int = 64 * 2**20
    queue_messages: int = 1000
    """Commands waiting for one session."""
    scheduled_messages: int = 100_000
    """Commands waiting for their time."""
    body_bytes: int = 1_000_000
    """Size of one command or event, in bytes."""
    replay_seconds: int = 7 * 86400
    """How long events stay for replay."""


def commands_name(tenant: TenantId) -> str:
    return f"WA_CMD_{tenant}"


def schedules_name(tenant: TenantId) -> str:
    return f"WA_SCH_{tenant}"


def outbox_name(tenant: TenantId) -> str:
    return f"WA_OUT_{tenant}"


def events_name(tenant: TenantId) -> str:
    return f"WA_EVT_{tenant}"


def deadletters_name(tenant: TenantId) -> str:
    return f"WA_DLQ_{tenant}"


def padding(tenant: TenantId, stream: str) -> str | None:
    """Where padding for one of the tenant's streams is published; None for one that empties by itself.

    JetStream rewrites a block of a file, without what was removed from it, once it is full and mostly removed. An
    erasure fills the last one up with padding and removes that again.
    """
    kind = _PADDED.get(stream.removesuffix(f"_{tenant}"))
    return None if kind is None else f"{'wai' if kind == 'evt' else 'wa'}.pad.{tenant}.{kind}"


_PADDED = {"WA_SCH": "sch", "WA_OUT": "out", "WA_EVT": "evt", "WA_DLQ": "dlq"}


def atomic_stream(subject: str) -> str | None:
    """The stream behind a subject that the fleet publishes to, if it takes atomic batches (ADR-50 of NATS)."""
    root, kind, tenant = [*subject.split(".", 3), "", ""][:3]
    if root == "wai":
        return events_name(TenantId(tenant))
    if kind == "out":
        return outbox_name(TenantId(tenant))
    return deadletters_name(TenantId(tenant)) if kind == "dlq" else None


def _stream(name: str, subjects: list[str], replicas: int, **extra: Any) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "storage": "file",
        "retention": "limits",
        "num_replicas": replicas,
        "duplicate_window": DEDUPE_WINDOW_S * NS,
        "allow_direct": True,
        **extra,
    }


def commands(tenant: TenantId, limits: TenantLimits, replicas: int = 1) -> dict[str, Any]:
    """What users asked, until the dispatcher has dealt with it; a full one refuses its publisher."""
    return _stream(
        commands_name(tenant),
        [f"wa.cmd.{tenant}.>"],
        replicas,
        discard="new",
        max_bytes=limits.commands_bytes,
    )


def schedules(tenant: TenantId, replicas: int = 1) -> dict[str, Any]:
    """Commands with a ``send_at``: message schedules (ADR-51 of NATS) and, when due, what they fire.

    JetStream allows schedules only with ``discard: old``, so the dispatcher itself bounds how many there are, and this
    stream has no size at which it would drop any.
    """
    return _stream(
        schedules_name(tenant),
        [f"wa.sch.{tenant}.>", f"wa.due.{tenant}.>", f"wa.pad.{tenant}.sch"],
        replicas,
        discard="old",
        allow_msg_schedules=True,
        allow_msg_ttl=True,
        allow_rollup_hdrs=True,
    )


def dispatcher_consumer() -> dict[str, Any]:
    """One pinned replica a tenant at a time keeps each session's commands in order; another takes over in 6 s."""
    return {
        "durable_name": DISPATCHER,
        "ack_policy": "all",
        # Shorter than the pin's life: when another replica gets the pin, what the first one left unacknowledged is
        # already due again and comes before newer messages, in order.
        "ack_wait": 3 * NS,
        "max_ack_pending": 2048,
        "priority_groups": [DISPATCHER],
        "priority_policy": "pinned_client",
        "priority_timeout": 6 * NS,
    }


def due_consumer(tenant: TenantId) -> dict[str, Any]:
    return {**dispatcher_consumer(), "filter_subject": f"wa.due.{tenant}.>"}


def outbox(tenant: TenantId, limits: TenantLimits, replicas: int = 1) -> dict[str, Any]:
    """A FIFO a session, read without consumers: an offline session costs nothing and blocks nobody."""
    return _stream(
        outbox_name(tenant),
        [f"wa.out.{tenant}.*", f"wa.pad.{tenant}.out"],
        replicas,
        discard="new",
        discard_new_per_subject=True,
        allow_atomic=True,
        max_bytes=limits.outbox_bytes,
        max_msgs_per_subject=limits.queue_messages,
        republish={"src": f"wa.out.{tenant}.*", "dest": f"wa.wake.{tenant}.{{{{wildcard(1)}}}}"},
    )


def events(tenant: TenantId, limits: TenantLimits, replicas: int = 1) -> dict[str, Any]:
    """Events (each with its own TTL), ownership and present state (without one); see `subjects` for the rewriting.

    A full one refuses: to discard old messages would drop ownership records and events that nobody has read.
    """
    return _stream(
        events_name(tenant),
        [
            f"wai.{kind}.{tenant}.{rest}"
            for kind, rest in (("evt", ">"), ("own", "*"), ("now", "*"), ("pad", "evt"))
        ],
        replicas,
        discard="new",
        max_bytes=limits.events_bytes,
        allow_atomic=True,
        allow_msg_ttl=True,
        allow_rollup_hdrs=True,
        subject_transform={"src": f"wai.*.{tenant}.>", "dest": f"wa.{{{{wildcard(1)}}}}.{tenant}.>"},
        republish={"src": f"wa.*.{tenant}.>", "dest": f"wa.{{{{wildcard(1)}}}}.{tenant}.>"},
    )


def deadletters(tenant: TenantId, limits: TenantLimits, replicas: int = 1) -> dict[str, Any]:
    """What was set aside, one letter a subject; a full one drops the oldest.

    Refusing instead would stop the queue or the reader that sets something aside: one tenant's poison would hold up
    its good commands.
    """
    return _stream(
        deadletters_name(tenant),
        [f"wa.dlq.{tenant}.>", f"wa.pad.{tenant}.dlq"],
        replicas,
        discard="old",
        max_bytes=limits.deadletter_bytes,
        max_msgs_per_subject=1,
        max_age=30 * 86400 * NS,
        allow_atomic=True,
        allow_msg_ttl=True,
    )


def bucket(
    name: str, replicas: int = 1, *, history: int = 1, ttl_s: float = 0, memory: bool = False
) -> dict[str, Any]:
    """The stream behind a KV bucket (ADR-8 of NATS)."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "storage": "memory" if memory else "file",
        "num_replicas": replicas,
        "retention": "limits",
        "discard": "new",
        "max_msgs_per_subject": history,
        "max_age": int(ttl_s * NS),
        "duplicate_window": int(min(ttl_s or DEDUPE_WINDOW_S, DEDUPE_WINDOW_S) * NS),
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "deny_delete": True,
    }
