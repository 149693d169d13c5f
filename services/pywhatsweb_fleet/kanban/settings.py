"""What an operator can set for the Kanban service, in the environment under ``PWW_``."""

from __future__ import annotations

from pathlib import Path

from pywhatsweb_runtime.service import ServiceSettings


class KanbanSettings(ServiceSettings, frozen=True, kw_only=True):
    data_dir: str = "data"
    database_url: str | None = None
    """SQLite in `data_dir` when absent."""
    replicas: int = 1
    """Of the buckets, should this service be the first to need them."""
    board_batch: int = 200
    """Events of a tenant looked at together, and put on the board in one transaction."""
    board_tick_s: float = 1.0
    """How often timers are looked at, and events that were left unpublished."""
    board_poll_s: float = 5.0
    """How often a tenant's stream is looked at without a sign that something has come."""
    board_hold_s: float = 3.0
    """For so long after its last batch a replica reads a tenant's stream alone."""
    sql_pool: int = 2
    sql_deadline_s: float = 10.0
    """A transaction that takes longer is broken off and tried again later."""

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"
