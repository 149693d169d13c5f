"""What every service lets an operator set: the broker, health and metrics, logs."""

from __future__ import annotations

from typing import Literal

from pywhatsweb_runtime.bus import BrokerSettings
from pywhatsweb_runtime.logs import LogFormat, LogLevel

MetricsLabels = Literal["none", "tenant", "session"]


class ServiceSettings(BrokerSettings, frozen=True, kw_only=True):
    """The base of each service's own settings."""

    health_host: str = "127.0.0.1"
    health_port: int | None = None
    metrics_labels: MetricsLabels = "none"
    """`tenant` or `session`: metrics tell tenants, or their sessions too, apart, at a series each; `none` of them."""
    traces_url: str | None = None
    """Where spans go, OTLP over HTTP, as http://collector:4318/v1/traces; none: no traces are made."""
    traces_share: float = 0.01
    """Of the commands whose publisher names no trace, how many begin one (0 to 1)."""
    ready_file: str | None = None
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    log_path: str | None = None
    """A file that gets every line too, as JSON, and is begun anew at 5 MB (the one before is kept)."""
