"""Webhooks, what of them waits for a later try, and the log of their tries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

STATISTICS = (
    ("webhooks", "sqlite_autoindex_webhooks_1", "1000 5 1"),
    ("webhooks", "webhooks_holder", "1000 300 1"),
    ("webhook_parked", "sqlite_autoindex_webhook_parked_1", "10000 1000 200 1"),
    ("webhook_parked", "webhook_parked_chat", "10000 1000 5"),
    ("webhook_log", "sqlite_autoindex_webhook_log_1", "300000 1500 300 1"),
)


def _column(
    name: str, kind: type[sa.types.TypeEngine[Any]] = sa.Text, *, null: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=null)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        _column("tenant"),
        _column("webhook"),
        _column("version", sa.BigInteger),
        _column("config"),
        _column("sealed", sa.LargeBinary),
        _column("disabled", null=True),
        _column("created_at", sa.BigInteger),
        _column("stream"),
        _column("floor", sa.BigInteger),
        _column("failures", sa.BigInteger),
        _column("holder"),
        _column("held_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "webhook", name="webhooks_pk"),
    )
    op.create_index("webhooks_holder", "webhooks", ["holder", "held_until"], unique=False)
    op.create_table(
        "webhook_parked",
        _column("tenant"),
        _column("webhook"),
        _column("sequence", sa.BigInteger),
        _column("session"),
        _column("chat"),
        _column("kind"),
        _column("event_id"),
        _column("first_at", sa.BigInteger),
        _column("last_at", sa.BigInteger),
        _column("attempts", sa.BigInteger),
        _column("due_at", sa.BigInteger),
        _column("answer", sa.BigInteger, null=True),
        _column("error", null=True),
        _column("dead", sa.Boolean),
        _column("body", sa.LargeBinary, null=True),
        sa.PrimaryKeyConstraint("tenant", "webhook", "sequence", name="webhook_parked_pk"),
    )
    op.create_index("webhook_parked_chat", "webhook_parked", ["tenant", "chat"], unique=False)
    op.create_table(
        "webhook_log",
        _column("tenant"),
        _column("webhook"),
        _column("number", sa.BigInteger),
        _column("session"),
        _column("kind"),
        _column("event_id"),
        _column("at", sa.BigInteger),
        _column("attempt", sa.BigInteger),
        _column("ok", sa.Boolean),
        _column("answer", sa.BigInteger, null=True),
        _column("error", null=True),
        _column("took_ms", sa.BigInteger),
        _column("excerpt", null=True),
        sa.PrimaryKeyConstraint("tenant", "webhook", "number", name="webhook_log_pk"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
