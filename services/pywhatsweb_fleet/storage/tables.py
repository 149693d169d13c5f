"""The tables: one definition that SQLite and PostgreSQL share; migrations are held equal to it by a test.

Every table begins with its tenant, but for what is the whole fleet's. Times are integers, milliseconds since 1970
(UTC), as everywhere in the fleet.
Structured values are JSON in text columns: the database filters on the columns beside them, never inside them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData()


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _ms(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


tenants = Table(
    "tenants",
    metadata,
    _text("tenant"),
    _text("settings"),
    _ms("created_at"),
    _ms("deleted_at", null=True),
    PrimaryKeyConstraint("tenant", name="tenants_pk"),
)

sessions = Table(
    "sessions",
    metadata,
    _text("tenant"),
    _text("session"),
    _text("status"),
    _text("engine", null=True),
    _text("phone_number", null=True),
    _text("lid", null=True),
    _text("name", null=True),
    _text("reason", null=True),
    _text("error", null=True),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    _ms("changed_at"),
    PrimaryKeyConstraint("tenant", "session", name="sessions_pk"),
)
"""As the session's last event told it: the greatest (epoch, sequence) wins."""

fences = Table(
    "fences",
    metadata,
    _text("tenant"),
    _text("session"),
    Column("epoch", BigInteger, nullable=False),
    _ms("changed_at"),
    PrimaryKeyConstraint("tenant", "session", name="fences_pk"),
    sqlite_with_rowid=False,
)
"""The greatest ownership epoch seen for a session; writers of a lesser one are refused."""

data_keys = Table(
    "data_keys",
    metadata,
    _text("tenant"),
    _text("scope"),
    _text("master_key"),
    Column("wrapped", LargeBinary, nullable=False),
    _ms("created_at"),
    PrimaryKeyConstraint("tenant", "scope", name="data_keys_pk"),
    Index("data_keys_master", "master_key"),
    sqlite_with_rowid=False,
)
"""Keys that seal rows, themselves sealed by the master key named; deleting one shreds what it sealed."""

sealing_keys = Table(
    "sealing_keys",
    metadata,
    _text("purpose"),
    _text("master_key"),
    _ms("since"),
    PrimaryKeyConstraint("purpose", name="sealing_keys_pk"),
)
"""The master key, by its id, that seals new data keys: one row, which who seals holds until it has committed."""

credentials = Table(
    "credentials",
    metadata,
    _text("tenant"),
    _text("session"),
    _text("kind"),
    _text("key_id"),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "session", "kind", "key_id", name="credentials_pk"),
    sqlite_with_rowid=False,
)
"""One row a Signal key, and the record of the device itself under kind ``creds`` and an empty id."""

idempotency = Table(
    "idempotency",
    metadata,
    _text("tenant"),
    _text("session"),
    _text("command_id"),
    _text("digest"),
    Column("command_seq", BigInteger, nullable=False),
    _text("status"),
    Column("rank", SmallInteger, nullable=False),
    _text("error", null=True),
    _text("message_id", null=True),
    _ms("claimed_at"),
    _ms("changed_at"),
    _ms("expires_at"),
    PrimaryKeyConstraint("tenant", "session", "command_id", name="idempotency_pk"),
    Index("idempotency_command", "tenant", "command_id"),
    Index("idempotency_message", "tenant", "message_id", postgresql_where=text("message_id IS NOT NULL"),
          sqlite_where=text("message_id IS NOT NULL")),
    Index("idempotency_expiry", "expires_at"),
    sqlite_with_rowid=False,
)  # fmt: skip
"""What became of each command, kept longer than JetStream's dedupe window."""

identities = Table(
    "identities",
    metadata,
    _text("tenant"),
    _text("lid"),
    _text("pn"),
    _ms("learned_at"),
    PrimaryKeyConstraint("tenant", "lid", name="identities_pk"),
    Index("identities_pn", "tenant", "pn"),
    sqlite_with_rowid=False,
)
"""Which phone number a LID was last seen with: a register a LID, the latest (learned_at, pn) wins."""

contacts = Table(
    "contacts",
    metadata,
    _text("tenant"),
    _text("address"),
    _text("pn", null=True),
    _text("lid", null=True),
    _text("name"),
    _ms("named_at"),
    PrimaryKeyConstraint("tenant", "address", name="contacts_pk"),
    Index("contacts_pn", "tenant", "pn"),
    sqlite_with_rowid=False,
)
"""People as they were seen, under ``lid:…`` when the LID was known and ``pn:…`` when not; joined when read."""

groups = Table(
    "groups",
    metadata,
    _text("tenant"),
    _text("group_id"),
    _text("subject", null=True),
    _ms("changed_at"),
    PrimaryKeyConstraint("tenant", "group_id", name="groups_pk"),
)

chats = Table(
    "chats",
    metadata,
    _text("tenant"),
    _text("session"),
    _text("chat"),
    _text("pn", null=True),
    _text("lid", null=True),
    _text("group_id", null=True),
    _ms("last_at"),
    _ms("last_inbound_at"),
    _ms("last_outbound_at"),
    _text("status", null=True),
    _text("owner_id", null=True),
    _ms("status_at"),
    _ms("assigned_at"),
    _text("assigned_by", null=True),
    _ms("completed_at"),
    _text("completed_by", null=True),
    _text("inbox", null=True),
    _text("joined_to", null=True),
    PrimaryKeyConstraint("tenant", "session", "chat", name="chats_pk"),
    Index("chats_recent", "tenant", "last_at", "chat"),
    Index("chats_by_key", "tenant", "chat"),
    Index("chats_joined", "tenant", "chat", sqlite_where=text("joined_to IS NOT NULL"),
          postgresql_where=text("joined_to IS NOT NULL")),
)  # fmt: skip
"""A conversation of a session, and its card on the Kanban board. A time of 0: it never happened. `inbox`: whose
sessions have one card for the person; `joined_to`: the session that has it, if it is another one."""

messages = Table(
    "messages",
    metadata,
    _text("tenant"),
    _text("message_id"),
    _text("event_id"),
    _ms("recorded_at"),
    _text("session"),
    _text("chat"),
    _text("kind"),
    _text("type"),
    _text("origin"),
    Column("from_self", Boolean, nullable=False),
    _text("sender_pn", null=True),
    _text("sender_lid", null=True),
    _text("sender_name", null=True),
    _text("command_id", null=True),
    _text("target_id", null=True),
    _text("body", null=True),
    _text("content"),
    _ms("sent_at"),
    PrimaryKeyConstraint("tenant", "message_id", "event_id", "recorded_at", name="messages_pk"),
    Index("messages_chat", "tenant", "chat", "sent_at", "event_id"),
    Index("messages_command", "tenant", "command_id", postgresql_where=text("command_id IS NOT NULL"),
          sqlite_where=text("command_id IS NOT NULL")),
    Index("messages_target", "tenant", "target_id", postgresql_where=text("target_id IS NOT NULL"),
          sqlite_where=text("target_id IS NOT NULL")),
    Index("messages_time", "tenant", "sent_at", "session", "origin", postgresql_where=text("kind = 'message'"),
          sqlite_where=text("kind = 'message'")),
    postgresql_partition_by="RANGE (recorded_at)",
)  # fmt: skip
"""What was said and done in a chat: messages, and the reactions, edits, deletions and votes that name a target.

Beside it each database has its own search index (`search`), which follows by itself: on SQLite the virtual table
``message_search`` by triggers, with ``number`` (the rowid) as its key; on PostgreSQL the index ``messages_search``.
"""

statuses = Table(
    "statuses",
    metadata,
    _text("tenant"),
    _text("message_id"),
    _text("event_id"),
    _ms("recorded_at"),
    _text("session"),
    _text("command_id", null=True),
    _text("status"),
    Column("rank", SmallInteger, nullable=False),
    _text("error", null=True),
    _text("person", null=True),
    _ms("at", null=True),
    PrimaryKeyConstraint("tenant", "message_id", "event_id", "recorded_at", name="statuses_pk"),
    Index("statuses_command", "tenant", "command_id", postgresql_where=text("command_id IS NOT NULL"),
          sqlite_where=text("command_id IS NOT NULL")),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (recorded_at)",
)  # fmt: skip
"""Every status event as it came; the one of greatest rank is the message's. An absent message id is empty."""

session_events = Table(
    "session_events",
    metadata,
    _text("tenant"),
    _text("event_id"),
    _text("session"),
    _text("kind"),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    _text("data"),
    _ms("recorded_at"),
    PrimaryKeyConstraint("tenant", "event_id", name="session_events_pk"),
    Index("session_events_time", "tenant", "session", "recorded_at"),
)
"""What happened to a session rather than in a chat. QR and pairing codes are left out: they are secrets."""

media = Table(
    "media",
    metadata,
    _text("tenant"),
    _text("sha256"),
    _text("mime_type"),
    Column("size", BigInteger, nullable=False),
    _text("filename", null=True),
    _text("object_key", null=True),
    _text("state"),
    _ms("created_at"),
    _ms("expires_at", null=True),
    PrimaryKeyConstraint("tenant", "sha256", name="media_pk"),
    Index("media_expiry", "expires_at"),
)

audit = Table(
    "audit",
    metadata,
    _text("tenant"),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    _ms("at"),
    _text("actor"),
    _text("action"),
    _text("target", null=True),
    _text("reason", null=True),
    _text("address", null=True),
    _text("correlation_id", null=True),
    _text("detail"),
    _text("hash"),
    PrimaryKeyConstraint("tenant", "sequence", name="audit_pk"),
)
"""Append-only; each entry's hash covers the one before it."""

erasures = Table(
    "erasures",
    metadata,
    _text("tenant"),
    _text("erasure_id"),
    _text("subject"),
    _text("actor"),
    _text("reason"),
    _text("receipt"),
    _ms("at"),
    PrimaryKeyConstraint("tenant", "erasure_id", name="erasures_pk"),
)
"""Proof of what was erased; ``subject`` is a digest, never the number."""

usage = Table(
    "usage",
    metadata,
    _text("tenant"),
    Column("day", BigInteger, nullable=False),
    _text("session"),
    _text("what"),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "day", "session", "what", name="usage_pk"),
    sqlite_with_rowid=False,
)
"""What was used, by day since 1970 (UTC); a session of ``-`` stands for the tenant as a whole."""

reached = Table(
    "reached",
    metadata,
    _text("tenant"),
    _text("chat"),
    _ms("at"),
    PrimaryKeyConstraint("tenant", "chat", name="reached_pk"),
    Index("reached_time", "at"),
    sqlite_with_rowid=False,
)
"""Whom a tenant wrote to first, while its new contacts are limited: they count once, not at every message."""

reached_by = Table(
    "reached_by",
    metadata,
    _text("tenant"),
    _text("session"),
    _text("chat"),
    _ms("at"),
    PrimaryKeyConstraint("tenant", "session", "chat", name="reached_by_pk"),
    Index("reached_by_time", "at"),
    sqlite_with_rowid=False,
)
"""The same of each session, while a session's new contacts are limited."""

PARTITIONED = (messages, statuses)
"""On PostgreSQL: by month of ``recorded_at``."""
