"""Chats whose card is that of an inbox, and stands in another of its sessions.

Expand only: the version before does not know the columns.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("chats", sa.Column("inbox", sa.Text(), nullable=True))
    op.add_column("chats", sa.Column("joined_to", sa.Text(), nullable=True))
    joined = sa.text("joined_to IS NOT NULL")
    op.create_index("chats_joined", "chats", ["tenant", "chat"], sqlite_where=joined, postgresql_where=joined)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('chats', 'chats_joined', '1000 1000 2')"
        )
