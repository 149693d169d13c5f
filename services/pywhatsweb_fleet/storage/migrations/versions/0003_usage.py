"""What tenants used, day by day, and whom they wrote to first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

STATISTICS = (
    ("usage", "usage", "100000 3000 100 10 1"),
    ("reached", "reached", "100000 10000 1"),
    ("reached", "reached_time", "100000 10"),
)


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "session", "what", name="usage_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reached",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chat", name="reached_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("reached_time", "reached", ["at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
