"""Who opted out, who agreed to what, and the words that opt somebody out.

Expand only: the version before does not know the tables.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

STATISTICS = (("optouts", "optouts", "10000 1000 1"), ("consents", "consents", "100000 10000 5000 1"))


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _ms(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def upgrade() -> None:
    op.create_table(
        "optouts",
        _text("tenant"),
        _text("chat"),
        _text("person"),
        _text("state"),
        _ms("at"),
        _text("source"),
        _text("word", null=True),
        _text("session", null=True),
        _text("changed_by", null=True),
        sa.PrimaryKeyConstraint("tenant", "chat", name="optouts_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "optout_words",
        _text("tenant"),
        _text("words"),
        _ms("changed_at"),
        _text("changed_by", null=True),
        sa.PrimaryKeyConstraint("tenant", name="optout_words_pk"),
    )
    op.create_table(
        "consents",
        _text("tenant"),
        _text("purpose"),
        _text("chat"),
        _text("pn", null=True),
        _text("lid", null=True),
        _ms("at"),
        _text("source"),
        _text("text", null=True),
        _text("recorded_by", null=True),
        _ms("withdrawn_at", null=True),
        _text("withdrawn_by", null=True),
        sa.PrimaryKeyConstraint("tenant", "purpose", "chat", name="consents_pk"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
