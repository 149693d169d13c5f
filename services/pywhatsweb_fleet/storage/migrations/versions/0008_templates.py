"""Texts with variables that tenants stored.

Expand only: the version before does not know the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

STATISTICS = (("templates", "templates", "10000 100 2 1"),)


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "name", "language", name="templates_pk"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
