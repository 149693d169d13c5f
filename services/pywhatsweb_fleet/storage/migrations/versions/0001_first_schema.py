"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# What SQLite's planner shall assume: rows, then rows for each value of the first column, of the first two, … of an
# index. Without it, it takes a tenant for ten rows and reads all of them rather than use an index on two columns.
STATISTICS = (
    ("audit", "sqlite_autoindex_audit_1", "100000 10000 1"),
    ("chats", "chats_by_key", "100000 10000 1"),
    ("chats", "chats_recent", "100000 10000 2 1"),
    ("chats", "sqlite_autoindex_chats_1", "100000 10000 1000 1"),
    ("contacts", "contacts", "100000 10000 1"),
    ("contacts", "contacts_pn", "100000 10000 1"),
    ("credentials", "credentials", "1000000 100000 1000 100 1"),
    ("data_keys", "data_keys", "10000 1000 1"),
    ("data_keys", "data_keys_master", "10000 10000"),
    ("fences", "fences", "10000 1000 1"),
    ("idempotency", "idempotency", "1000000 100000 1000 1"),
    ("idempotency", "idempotency_command", "1000000 100000 1"),
    ("idempotency", "idempotency_expiry", "1000000 10"),
    ("idempotency", "idempotency_message", "1000000 100000 1"),
    ("identities", "identities", "100000 10000 1"),
    ("identities", "identities_pn", "100000 10000 1"),
    ("messages", "messages_chat", "1000000 100000 100 1 1"),
    ("messages", "messages_command", "1000000 100000 1"),
    ("messages", "messages_target", "1000000 100000 2"),
    ("messages", "sqlite_autoindex_messages_1", "1000000 100000 2 1 1"),
    ("session_events", "session_events_time", "1000000 100000 1000 1"),
    ("session_events", "sqlite_autoindex_session_events_1", "1000000 100000 1"),
    ("sessions", "sqlite_autoindex_sessions_1", "10000 1000 1"),
    ("statuses", "statuses", "1000000 100000 3 1 1"),
    ("statuses", "statuses_command", "1000000 100000 3"),
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sequence", name="audit_pk"),
    )
    op.create_table(
        "chats",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("pn", sa.Text(), nullable=True),
        sa.Column("lid", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("last_inbound_at", sa.BigInteger(), nullable=False),
        sa.Column("last_outbound_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("status_at", sa.BigInteger(), nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "session", "chat", name="chats_pk"),
    )
    op.create_index("chats_by_key", "chats", ["tenant", "chat"], unique=False)
    op.create_index("chats_recent", "chats", ["tenant", "last_at", "chat"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("pn", sa.Text(), nullable=True),
        sa.Column("lid", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("named_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "address", name="contacts_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("contacts_pn", "contacts", ["tenant", "pn"], unique=False)
    op.create_table(
        "credentials",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", "kind", "key_id", name="credentials_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "data_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("master_key", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", name="data_keys_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("data_keys_master", "data_keys", ["master_key"], unique=False)
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("erasure_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "erasure_id", name="erasures_pk"),
    )
    op.create_table(
        "fences",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", name="fences_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "groups",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "group_id", name="groups_pk"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("command_seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", "command_id", name="idempotency_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_command", "idempotency", ["tenant", "command_id"], unique=False)
    op.create_index("idempotency_expiry", "idempotency", ["expires_at"], unique=False)
    op.create_index(
        "idempotency_message",
        "idempotency",
        ["tenant", "message_id"],
        unique=False,
        postgresql_where=sa.text("message_id IS NOT NULL"),
        sqlite_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_table(
        "identities",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("lid", sa.Text(), nullable=False),
        sa.Column("pn", sa.Text(), nullable=False),
        sa.Column("learned_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "lid", name="identities_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("identities_pn", "identities", ["tenant", "pn"], unique=False)
    op.create_table(
        "media",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "sha256", name="media_pk"),
    )
    op.create_index("media_expiry", "media", ["expires_at"], unique=False)
    op.create_table(
        "messages",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("from_self", sa.Boolean(), nullable=False),
        sa.Column("sender_pn", sa.Text(), nullable=True),
        sa.Column("sender_lid", sa.Text(), nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("command_id", sa.Text(), nullable=True),
        sa.Column("target_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "message_id", "event_id", "recorded_at", name="messages_pk"),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    op.create_index("messages_chat", "messages", ["tenant", "chat", "sent_at", "event_id"], unique=False)
    op.create_index(
        "messages_command",
        "messages",
        ["tenant", "command_id"],
        unique=False,
        postgresql_where=sa.text("command_id IS NOT NULL"),
        sqlite_where=sa.text("command_id IS NOT NULL"),
    )
    op.create_index(
        "messages_target",
        "messages",
        ["tenant", "target_id"],
        unique=False,
        postgresql_where=sa.text("target_id IS NOT NULL"),
        sqlite_where=sa.text("target_id IS NOT NULL"),
    )
    op.create_table(
        "session_events",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "event_id", name="session_events_pk"),
    )
    op.create_index(
        "session_events_time", "session_events", ["tenant", "session", "recorded_at"], unique=False
    )
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("phone_number", sa.Text(), nullable=True),
        sa.Column("lid", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session", name="sessions_pk"),
    )
    op.create_table(
        "statuses",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "message_id", "event_id", "recorded_at", name="statuses_pk"),
        postgresql_partition_by="RANGE (recorded_at)",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "statuses_command",
        "statuses",
        ["tenant", "command_id"],
        unique=False,
        postgresql_where=sa.text("command_id IS NOT NULL"),
        sqlite_where=sa.text("command_id IS NOT NULL"),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", name="tenants_pk"),
    )

    if op.get_bind().dialect.name == "sqlite":
        # Creates sqlite_stat1; https://www.sqlite.org/lang_analyze.html allows to fill it by hand.
        op.execute("ANALYZE")
        op.execute("DELETE FROM sqlite_stat1")
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
    else:
        # Takes what no month's partition does; those are made ahead by storage.partitions.
        op.execute("CREATE TABLE messages_default PARTITION OF messages DEFAULT")
        op.execute("CREATE TABLE statuses_default PARTITION OF statuses DEFAULT")
