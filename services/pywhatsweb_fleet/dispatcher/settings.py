"""What an operator can set for the dispatcher, in the environment under ``PWW_``."""

from __future__ import annotations

from pathlib import Path

from pywhatsweb_runtime.service import ServiceSettings


class DispatcherSettings(ServiceSettings, frozen=True, kw_only=True):
    data_dir: str = "data"
    database_url: str | None = None
    """SQLite in `data_dir` when absent."""
    engine: str = "simulated"
    """Of sessions that are started without naming one."""
    engines: str = "simulated,baileys,webjs"
    """Those that sessions may name."""
    replicas: int = 1
    """Of streams and buckets that the dispatcher makes: 1, or 3 on a cluster."""
    idempotency_days: float = 7
    """How long a command id is remembered."""
    stale_after_s: float = 2.5
    """A batch that was taken longer ago is given up rather than published: another replica may have it by now."""
    alert_down_s: float = 60.0
    """A session that should work and does not for so long is told by an alert `session_down`; 0: never."""
    alert_min_sessions: int = 0
    """Alert `few_active_sessions` when fewer of a tenant's sessions work for so long (of fewer, all); 0: never."""
    alert_lag_s: float = 60.0
    """Alert `lag` when the oldest of a tenant's commands, or of the events for its record, waits longer; 0: never."""
    alert_stream_fill: float = 0.9
    """Alert `stream_nearly_full` when more of what a tenant's stream may hold is used (0 to 1); 0: never."""
    alert_disk_fill: float = 0.9
    """Alert `disk_nearly_full` when more of the disk with `data_dir` is used (0 to 1); 0: never."""
    alert_tenant: str | None = None
    """The operator's own tenant, which is told of the disk; none: only metrics tell of it."""

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"

    @property
    def allowed_engines(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.engines.split(",") if name.strip())
