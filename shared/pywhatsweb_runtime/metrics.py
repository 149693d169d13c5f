"""Every metric of the fleet, declared here with its meaning.

Labels are bounded: never a session, a chat or a number.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One instance a process; services take what they use from it."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        # Dispatcher: what became of each command at the door. outcome: accepted, duplicate, scheduled, rejected.
        self.commands = Counter(
            "pww_commands_total", "Commands dealt with", ["outcome", "code"], registry=registry
        )
        self.command_wait = Histogram(
            "pww_command_wait_seconds",
            "From the broker's time stamp of a command to its place in the outbox",
            buckets=_LATENCY_S,
            registry=registry,
        )
        # Session worker.
        self.sessions = Gauge(
            "whatsapp_sessions_active", "Sessions owned by this worker", ["status"], registry=registry
        )
        self.messages_out = Counter(
            "whatsapp_messages_out_total",
            "Send commands ended by this worker",
            ["outcome"],
            registry=registry,
        )
        self.messages_in = Counter(
            "whatsapp_messages_in_total", "Inbound messages stored", ["kind"], registry=registry
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
            ["reason"],
            registry=registry,
        )
        self.errors = Counter(
            "whatsapp_errors_total", "Errors by catalogue code", ["code"], registry=registry
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
        self.http_cut = Counter(
            "pww_http_streams_cut_total", "Readers of events cut for being slow", ["kind"], registry=registry
        )
        # Webhooks. outcome: ok, failed.
        self.webhooks = Gauge("pww_webhooks", "Webhooks that this replica posts for", registry=registry)
        self.webhook_posts = Counter("pww_webhook_posts_total", "Tries", ["outcome"], registry=registry)
        # Every service.
        self.loop_lag = Gauge(
            "pww_event_loop_lag_seconds", "How late the event loop's timer last was", registry=registry
        )
