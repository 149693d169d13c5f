"""What an operator can set for the webhooks service, in the environment under ``PWW_``."""

from __future__ import annotations

from pathlib import Path

from pywhatsweb_runtime.service import ServiceSettings


class WebhooksSettings(ServiceSettings, frozen=True, kw_only=True):
    data_dir: str = "data"
    database_url: str | None = None
    """SQLite in `data_dir` when absent."""
    encryption_key: str | None = None
    """32 bytes in hex or base64 that seal the data keys; the same as the session workers'."""
    encryption_key_file: str | None = None
    """Where the master keys lie, read again when one is met that is not known yet: so they rotate without a restart."""
    replicas: int = 1
    """Of the buckets, should this service be the first to need them."""
    webhook_timeout_s: float = 10.0
    """For a whole post, from connecting to the answer's end."""
    webhook_concurrency: int = 8
    """Chats of one webhook that are posted at the same time."""
    webhook_give_up_s: float = 7 * 86_400
    """After so long an event becomes a dead letter; never longer than the tenant's events stream keeps it."""
    webhook_keep_dead_s: float = 30 * 86_400
    """For so long a dead letter can be redriven."""
    webhook_networks: str = ""
    """Private networks that webhooks may reach (``10.0.0.0/8, 127.0.0.0/8``); else only public addresses."""
    webhook_http: bool = False
    """Whether plain http is allowed towards public addresses too; into `webhook_networks` it always is."""
    webhook_ca: str | None = None
    """A PEM file of certificates to trust beside the system's."""
    webhook_hold_s: float = 20.0
    """A replica that does not write for so long loses its webhooks to others."""
    webhook_first_pause_s: float = 5.0
    """Before the second try; each further pause is three times as long, up to an hour."""
    sql_pool: int = 2
    sql_deadline_s: float = 10.0

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"
