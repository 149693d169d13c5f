"""What an operator can set for the persistence service, in the environment under ``PWW_``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pywhatsweb_fleet.media.settings import MediaSettings


class PersistenceSettings(MediaSettings, frozen=True, kw_only=True):
    data_dir: str = "data"
    database_url: str | None = None
    """SQLite in `data_dir` when absent."""
    replicas: int = 1
    """Of the buckets, should this service be the first to need them."""
    batch: int = 0
    """Of a tenant's events that are settled together, at most; 0: 250 on SQLite, where the other services wait
    meanwhile, and 1000 on PostgreSQL. A transaction has those of several tenants and at most some three times as many
    events. A tenant has at most two batches under way and two, or 1000 events, asked for ahead."""
    pace_s: float = 0.1
    """A tenant's events that come within so long of the batch before share the next one; of a trickle each would
    otherwise cost a transaction. A full batch never waits."""
    ack_wait_s: float = 30.0
    """What a replica took and did not acknowledge (it was killed) is given to another after so long."""
    sql_pool: int = 4
    """Threads with a connection each."""
    sql_deadline_s: float = 10.0
    """A transaction that takes longer is broken off and tried again later."""
    idempotency_every_s: float = 600.0
    """How often expired idempotency records are removed and months are made ahead."""
    encryption_key: str | None = None
    """Opens the tenants' stored files, among which exports are kept; without it `data.export` is not offered."""
    encryption_key_file: str | None = None
    """Where the master keys lie, read again when one is met that is not known yet: so they rotate without a restart."""
    retention_every_s: float = 3600.0
    """How often what is past its period is removed."""
    anchor_every_s: float = 60.0
    """How often the head of each audit trail is written down at the broker."""

    def batch_on(self, dialect: str) -> int:
        return self.batch or (250 if dialect == "sqlite" else 1000)

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{Path(self.data_dir).absolute() / 'pywhatsweb.db'}"

    @property
    def files(self) -> MediaSettings:
        """Of files: in a folder of `data_dir` when no place is set."""
        if self.media_url is not None:
            return self
        return msgspec.structs.replace(self, media_url=(Path(self.data_dir).absolute() / "media").as_uri())
