"""Who holds stored files, files on their way in, and what is to be removed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

STATISTICS = (
    ("media_refs", "sqlite_autoindex_media_refs_1", "100000 1000 1"),
    ("media_refs", "media_refs_object", "100000 1000 2"),
    ("media_refs", "media_refs_chat", "100000 1000 20"),
    ("media_refs", "media_refs_message", "100000 1000 2"),
    ("media_refs", "media_refs_expiry", "100000 2"),
    ("media_leftovers", "media_leftovers_time", "1000 2"),
    ("media_fetches", "media_fetches_due", "1000 100 20 1"),
)


def _column(
    name: str, kind: type[sa.types.TypeEngine[Any]] = sa.Text, *, null: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind(), nullable=null)


def upgrade() -> None:
    op.create_table(
        "media_refs",
        _column("tenant"),
        _column("media_id"),
        _column("sha256"),
        _column("origin"),
        _column("mime_type"),
        _column("filename", null=True),
        _column("session", null=True),
        _column("chat", null=True),
        _column("message_id", null=True),
        _column("created_at", sa.BigInteger),
        _column("expires_at", sa.BigInteger, null=True),
        sa.PrimaryKeyConstraint("tenant", "media_id", name="media_refs_pk"),
    )
    op.create_index("media_refs_object", "media_refs", ["tenant", "sha256"], unique=False)
    op.create_index("media_refs_chat", "media_refs", ["tenant", "chat"], unique=False)
    op.create_index("media_refs_message", "media_refs", ["tenant", "message_id"], unique=False)
    op.create_index("media_refs_expiry", "media_refs", ["expires_at"], unique=False)
    op.create_table(
        "media_uploads",
        _column("tenant"),
        _column("upload_id"),
        _column("size", sa.BigInteger),
        _column("asked"),
        _column("created_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "upload_id", name="media_uploads_pk"),
    )
    op.create_index("media_uploads_time", "media_uploads", ["created_at"], unique=False)
    op.create_table(
        "media_leftovers",
        _column("tenant"),
        _column("object_key"),
        _column("remove_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "object_key", name="media_leftovers_pk"),
    )
    op.create_index("media_leftovers_time", "media_leftovers", ["remove_at"], unique=False)
    op.create_table(
        "media_fetches",
        _column("tenant"),
        _column("media_id"),
        _column("session"),
        _column("chat"),
        _column("message_id"),
        _column("sealed", sa.LargeBinary),
        _column("tries", sa.Integer),
        _column("next_at", sa.BigInteger),
        _column("created_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "media_id", name="media_fetches_pk"),
    )
    op.create_index("media_fetches_due", "media_fetches", ["tenant", "session", "next_at"], unique=False)
    op.create_index("media_fetches_chat", "media_fetches", ["tenant", "chat"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
