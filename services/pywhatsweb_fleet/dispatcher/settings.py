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

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"

    @property
    def allowed_engines(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.engines.split(",") if name.strip())
