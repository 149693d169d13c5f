"""The Kanban board."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STATISTICS = (
    ("kanban_cards", "sqlite_autoindex_kanban_cards_1", "100000 10000 2 1"),
    ("kanban_cards", "kanban_cards_due", "10000 2"),
    ("kanban_cards", "kanban_cards_owner", "100000 10000 3000 100 1"),
    ("kanban_log", "sqlite_autoindex_kanban_log_1", "1000000 100000 20 10 1"),
    ("kanban_outbox", "sqlite_autoindex_kanban_outbox_1", "100 10 3 2 1 1"),
    ("kanban_attendants", "sqlite_autoindex_kanban_attendants_1", "1000 20 1"),
)


def upgrade() -> None:
    op.create_table(
        "kanban_cards",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("card", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chat", "session", name="kanban_cards_pk"),
    )
    op.create_index(
        "kanban_cards_due",
        "kanban_cards",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "kanban_cards_owner", "kanban_cards", ["tenant", "status", "owner", "opened_at"], unique=False
    )
    op.create_table(
        "kanban_log",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chat", "session", "version", name="kanban_log_pk"),
    )
    op.create_table(
        "kanban_outbox",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "chat", "session", "version", "kind", name="kanban_outbox_pk"),
    )
    op.create_table(
        "kanban_attendants",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("attendant", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "attendant", name="kanban_attendants_pk"),
    )
    op.create_table(
        "kanban_policies",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", name="kanban_policies_pk"),
    )
    op.create_table(
        "kanban_places",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="kanban_places_pk"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
