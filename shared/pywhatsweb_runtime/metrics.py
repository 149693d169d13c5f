"""Every metric of the fleet, declared here with its meaning.

Labels are bounded: never a chat or a number, and ``tenant`` and ``session`` are empty (to Prometheus: absent) unless
the operator lets them be told (``PWW_METRICS_LABELS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from pywhatsweb_runtime.service import MetricsLabels

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_PAUSE_S = (0.5, 1, 2, 5, 10, 30, 60, 120)

WHO = ("tenant", "session")

L = TypeVar("L", bound=tuple[str, ...])


class Metrics:
    """One instance a process; services take what they use from it. ``labels``: whom metrics tell apart."""

    def __init__(self, labels: MetricsLabels = "none") -> None:
        self.labels = labels
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        # Dispatcher: what became of each command at the door. outcome: accepted, duplicate, scheduled, rejected.
        self.commands = Counter(
            "pww_commands_total", "Commands dealt with", ["outcome", "code", "tenant"], registry=registry
        )
        self.command_wait = Histogram(
            "pww_command_wait_seconds",
            "From the broker's time stamp of a command to its place in the outbox",
            buckets=_LATENCY_S,
            registry=registry,
        )
        # Dispatcher: what waits at the broker, of the tenants whose commands this replica takes. stage: commands (not
        # looked at yet), scheduled, outbox (for their sessions), record (events not in the database yet), dead.
        self.queue_messages = Gauge(
            "pww_queue_messages", "What waits at the broker, by stage", ["stage", "tenant"], registry=registry
        )
        self.queue_age = Gauge(
            "pww_queue_oldest_seconds",
            "For how long the oldest of it has waited",
            ["stage", "tenant"],
            registry=registry,
        )
        self.disk_used = Gauge(
            "pww_disk_used_ratio", "Of the disk with the dispatcher's data directory", registry=registry
        )
        # Session worker.
        self.sessions = Gauge(
            "whatsapp_sessions_active", "Sessions owned by this worker", ["status", *WHO], registry=registry
        )
        self.sessions_known = Gauge(
            "whatsapp_sessions_total", "Sessions that are registered, running or not", registry=registry
        )
        self.messages_out = Counter(
            "whatsapp_messages_out_total",
            "Send commands ended by this worker",
            ["outcome", *WHO],
            registry=registry,
        )
        self.messages_in = Counter(
            "whatsapp_messages_in_total", "Inbound messages stored", ["kind", *WHO], registry=registry
        )
        self.send_latency = Histogram(
            "whatsapp_message_latency_seconds",
            "From a command's place in the outbox to WhatsApp's acknowledgement",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.reconnections = Counter(
            "whatsapp_reconnections_total",
            "Links opened again, by why they closed",
            ["reason", *WHO],
            registry=registry,
        )
        self.reconnection_delay = Histogram(
            "whatsapp_reconnection_delay_seconds",
            "Pauses before links are opened again",
            buckets=_PAUSE_S,
            registry=registry,
        )
        self.errors = Counter(
            "whatsapp_errors_total", "Errors by catalogue code", ["code", *WHO], registry=registry
        )
        # The gate: what WhatsApp told is acknowledged, and what is encrypted is sent, once it is on disk here.
        self.gate_hold = Histogram(
            "pww_gate_hold_seconds",
            "From a unit of an engine to its being durable: so long its acknowledgement is held",
            buckets=_LATENCY_S,
            registry=registry,
        )
        # What the sidecars tell of themselves every 10 s; the simulated engine is part of the worker's own process.
        self.engine_memory = Gauge(
            "pww_engine_resident_bytes", "Memory of an engine's process", ["engine"], registry=registry
        )
        self.engine_cpu = Gauge(
            "pww_engine_cpu_seconds",
            "Processor time of an engine's process since its start",
            ["engine"],
            registry=registry,
        )
        self.engine_lag = Gauge(
            "pww_engine_loop_lag_seconds", "How late an engine's event loop is", ["engine"], registry=registry
        )
        self.engine_sessions = Gauge(
            "pww_engine_sessions", "Links that an engine's process has open", ["engine"], registry=registry
        )
        self.engine_uncommitted = Gauge(
            "pww_engine_uncommitted_units",
            "Units not durable yet: credit in use",
            ["engine"],
            registry=registry,
        )
        self.engine_held = Gauge(
            "pww_engine_held_frames",
            "Frames of WhatsApp's that wait for credit or handling",
            ["engine"],
            registry=registry,
        )
        # Files. to: fleet (an upload that was put together) or whatsapp (encrypted and taken by its media host).
        self.media_upload = Histogram(
            "whatsapp_media_upload_duration_seconds",
            "How long a file took to be stored, or to be sent to WhatsApp's media host",
            ["to"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.media_fetched = Counter(
            "whatsapp_media_fetched_total", "Files of messages fetched from WhatsApp", registry=registry
        )
        # step: put (an upload), send (made ready for WhatsApp) or fetch (from WhatsApp).
        self.media_failures = Counter(
            "whatsapp_media_failures_total",
            "Files that failed, by step and catalogue code",
            ["step", "code"],
            registry=registry,
        )
        self.epoch_refused = Counter(
            "pww_epoch_refused_total",
            "Events refused because another worker owns the session",
            registry=registry,
        )
        self.takeovers = Counter("pww_takeovers_total", "Sessions taken, by why", ["why"], registry=registry)
        # Persistence and the board: from the broker's time stamp of an event to its commit.
        self.ingest_lag = Histogram(
            "pww_ingest_lag_seconds",
            "How old events are when they are settled, by their first of each batch",
            buckets=_LAG_S,
            registry=registry,
        )
        # Kanban. kind: the event that tells it (chat_assigned, …).
        self.board_transitions = Counter(
            "pww_board_transitions_total", "Transitions of cards told", ["kind", "tenant"], registry=registry
        )
        # Gateway. status: the HTTP status; 499: the client went before there was one.
        self.http_requests = Counter(
            "pww_http_requests_total", "HTTP requests answered", ["method", "status"], registry=registry
        )
        self.http_latency = Histogram(
            "pww_http_request_seconds",
            "From an HTTP request's headers to the end of its answer, event streams left out",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.http_streams = Gauge("pww_http_streams", "Open streams of events", ["kind"], registry=registry)
        self.websockets = Gauge(
            "whatsapp_websocket_connections", "Open WebSockets of events", registry=registry
        )
        self.http_cut = Counter(
            "pww_http_streams_cut_total", "Readers of events cut for being slow", ["kind"], registry=registry
        )
        # Webhooks. outcome: ok, failed.
        self.webhooks = Gauge("pww_webhooks", "Webhooks that this replica posts for", registry=registry)
        self.webhook_posts = Counter("pww_webhook_posts_total", "Tries", ["outcome"], registry=registry)
        # state: open (read, not posted yet), later (put aside for another try).
        self.webhook_waiting = Gauge(
            "pww_webhook_waiting_events", "Events that wait to be posted", ["state"], registry=registry
        )
        self.webhook_age = Gauge(
            "pww_webhook_oldest_seconds",
            "For how long the oldest event that waits has been tried in vain",
            registry=registry,
        )
        # Every service.
        self.loop_lag = Gauge(
            "pww_event_loop_lag_seconds",
            "How late the event loop's timer was at worst in the last quarter of a minute, or is now",
            registry=registry,
        )
        # check: broker, store, ownership … as in /readyz.
        self.check_failed = Gauge(
            "pww_check_failed",
            "Whether a check of the service's health fails (1)",
            ["check"],
            registry=registry,
        )

    def tenant(self, tenant: str) -> str:
        """The value of a label ``tenant``."""
        return "" if self.labels == "none" else tenant

    def who(self, tenant: str, session: str) -> tuple[str, str]:
        """The values of labels ``tenant`` and ``session``."""
        return self.tenant(tenant), session if self.labels == "session" else ""


def set_all(gauge: Gauge, values: Mapping[L, float], before: set[L]) -> None:
    """Sets a gauge's series and drops those of ``before`` that are gone; ``before`` becomes what there is.

    Never empty in between: another thread may be reading.
    """
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    for labels in before - values.keys():
        gauge.remove(*labels)
    before.clear()
    before.update(values)
