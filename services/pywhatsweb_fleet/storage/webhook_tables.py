"""The webhooks' tables: what a tenant wants posted where, how far that has come, and what did not succeed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

webhooks = Table(
    "webhooks",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("config", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("disabled", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("stream", Text, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "webhook", name="webhooks_pk"),
    Index("webhooks_holder", "holder", "held_until"),
)
"""`config` is JSON, `sealed` its secrets. Events up to `floor` of the tenant's events stream are dealt with: posted,
none of its business, or in `webhook_parked`. `failures`: tries in a row that failed. `holder` posts, until
`held_until`."""

webhook_parked = Table(
    "webhook_parked",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("answer", BigInteger),
    Column("error", Text),
    Column("dead", Boolean, nullable=False),
    Column("body", LargeBinary),
    PrimaryKeyConstraint("tenant", "webhook", "sequence", name="webhook_parked_pk"),
    Index("webhook_parked_chat", "tenant", "chat"),
)
"""Events that a later try waits for, and `dead` ones that were given up; only these have their `body` here, since the
stream may have forgotten it. What belongs to a chat is found by it, for erasure."""

webhook_log = Table(
    "webhook_log",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("answer", BigInteger),
    Column("error", Text),
    Column("took_ms", BigInteger, nullable=False),
    Column("excerpt", Text),
    PrimaryKeyConstraint("tenant", "webhook", "number", name="webhook_log_pk"),
)
"""The last tries of each webhook, by a number that only grows."""
