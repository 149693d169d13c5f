"""How long things are kept, erasures and exports under way, the audit's words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

STATISTICS = (
    ("duties", "sqlite_autoindex_duties_1", "20 1"),
    ("retention", "sqlite_autoindex_retention_1", "100 5 1"),
    ("erasure_jobs", "sqlite_autoindex_erasure_jobs_1", "100 10 1"),
    ("erasure_jobs", "erasure_jobs_subject", "100 10 1"),
    ("exports", "sqlite_autoindex_exports_1", "1000 100 1"),
    ("exports", "exports_state", "1000 300 1"),
    ("audit_words", "sqlite_autoindex_audit_words_1", "100000 10000 1"),
    ("audit_bases", "sqlite_autoindex_audit_bases_1", "100 1"),
)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "duties",
        _text("duty"),
        _text("holder"),
        _number("held_until"),
        sa.PrimaryKeyConstraint("duty", name="duties_pk"),
    )
    op.create_table(
        "retention",
        _text("tenant"),
        _text("kind"),
        _number("days"),
        _number("changed_at"),
        _text("changed_by", null=True),
        sa.PrimaryKeyConstraint("tenant", "kind", name="retention_pk"),
    )
    op.create_table(
        "erasure_jobs",
        _text("tenant"),
        _text("erasure_id"),
        _text("subject"),
        _text("actor"),
        _text("reason"),
        _number("requested_at"),
        _text("work"),
        sa.PrimaryKeyConstraint("tenant", "erasure_id", name="erasure_jobs_pk"),
    )
    op.create_index("erasure_jobs_subject", "erasure_jobs", ["tenant", "subject"], unique=True)
    op.create_table(
        "exports",
        _text("tenant"),
        _text("export_id"),
        _text("subject", null=True),
        _text("actor"),
        _text("state"),
        _number("requested_at"),
        _number("expires_at"),
        _text("work"),
        sa.PrimaryKeyConstraint("tenant", "export_id", name="exports_pk"),
    )
    op.create_index("exports_state", "exports", ["state", "requested_at"], unique=False)
    op.create_table(
        "audit_words",
        _text("tenant"),
        _number("sequence"),
        _text("reason"),
        sa.PrimaryKeyConstraint("tenant", "sequence", name="audit_words_pk"),
    )
    op.create_table(
        "audit_bases",
        _text("tenant"),
        _number("sequence"),
        _text("hash"),
        _text("seal"),
        _number("at"),
        sa.PrimaryKeyConstraint("tenant", name="audit_bases_pk"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
