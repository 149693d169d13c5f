"""What an operator can set for the tenancy service, in the environment under ``PWW_``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pywhatsweb_runtime.service import ServiceSettings


class TenancySettings(ServiceSettings, frozen=True, kw_only=True):
    data_dir: str = "data"
    database_url: str | None = None
    """SQLite in `data_dir` when absent."""
    secrets_dir: str | None = None
    """Where ``secrets.json`` lies, which this service alone writes while it runs; `data_dir` when absent."""
    broker_dir: str | None = None
    """Where ``nats.conf`` and ``broker.json`` lie; the folder ``broker`` of `secrets_dir` when absent."""
    broker_mode: Literal["config", "operator"] = "config"
    """Whether accounts stand in the broker's configuration, or in tokens that an operator signs."""
    media_url: str | None = None
    """Where the fleet keeps files, as in the services that have some; a folder of `data_dir` when absent."""
    media_endpoint: str | None = None
    """Where something other than Amazon's that speaks S3 listens (MinIO), as a URL."""
    unlink_s: float = 30.0
    """How long a tenant's erasure waits for its sessions to be unlinked at WhatsApp."""
    replicas: int = 1
    """Of streams and buckets: 1, or 3 on a cluster."""

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"

    @property
    def secrets_path(self) -> Path:
        return Path(self.secrets_dir or self.data_dir).absolute()

    @property
    def broker_path(self) -> Path:
        return Path(self.broker_dir).absolute() if self.broker_dir else self.secrets_path / "broker"

    @property
    def objects_url(self) -> str:
        return self.media_url or (Path(self.data_dir).absolute() / "media").as_uri()
