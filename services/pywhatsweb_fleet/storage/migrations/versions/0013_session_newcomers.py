"""Whom each session wrote to first, while a session's new contacts are limited.

Expand only: the version before does not know the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

STATISTICS = (
    ("reached_by", "reached_by", "100000 10000 1000 1"),
    ("reached_by", "reached_by_time", "100000 10"),
)


def upgrade() -> None:
    op.create_table(
        "reached_by",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", "chat", name="reached_by_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("reached_by_time", "reached_by", ["at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
