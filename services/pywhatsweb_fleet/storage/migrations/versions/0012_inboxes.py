"""Inboxes of several sessions: their settings, who belongs to which session, and where commands went.

Expand only: the version before does not know the tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

STATISTICS = (
    ("inboxes", "inboxes", "100 10 1"),
    ("inbox_contacts", "inbox_contacts", "100000 10000 2 1"),
    ("inbox_contacts", "inbox_contacts_session", "50000 5000 2500 500"),
    ("inbox_commands", "inbox_commands", "100000 10000 5000 1"),
    ("inbox_commands", "inbox_commands_chat", "100000 10000 5 5"),
    ("inbox_commands", "inbox_commands_expiry", "100000 5"),
)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "inboxes",
        _text("tenant"),
        _text("inbox"),
        _text("sessions"),
        _text("spread"),
        _text("failover"),
        _number("cooldown_s"),
        _number("changed_at"),
        _text("changed_by", null=True),
        sa.PrimaryKeyConstraint("tenant", "inbox", name="inboxes_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox_contacts",
        _text("tenant"),
        _text("chat"),
        _text("inbox"),
        _text("person"),
        _text("session"),
        _number("since"),
        sa.PrimaryKeyConstraint("tenant", "chat", "inbox", name="inbox_contacts_pk"),
        sqlite_with_rowid=False,
    )
    people = sa.text("chat = person")
    op.create_index(
        "inbox_contacts_session",
        "inbox_contacts",
        ["tenant", "inbox", "session"],
        postgresql_where=people,
        sqlite_where=people,
    )
    op.create_table(
        "inbox_commands",
        _text("tenant"),
        _text("inbox"),
        _text("command_id"),
        _text("session"),
        _number("command_seq"),
        _text("chat"),
        _number("chosen_at"),
        _number("due_at"),
        _number("expires_at"),
        sa.PrimaryKeyConstraint("tenant", "inbox", "command_id", name="inbox_commands_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("inbox_commands_chat", "inbox_commands", ["tenant", "chat", "inbox"])
    op.create_index("inbox_commands_expiry", "inbox_commands", ["expires_at"])
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
