"""Tables of inboxes: which sessions stand behind a name, who belongs to which of them, and where commands went."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

inboxes = Table(
    "inboxes",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("inbox", Text, nullable=False),
    Column("sessions", Text, nullable=False),
    Column("spread", Text, nullable=False),
    Column("failover", Text, nullable=False),
    Column("cooldown_s", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", "inbox", name="inboxes_pk"),
    sqlite_with_rowid=False,
)
"""`sessions` is JSON, a list of names; `inbox` begins with ``@``."""

inbox_contacts = Table(
    "inbox_contacts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("inbox", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "chat", "inbox", name="inbox_contacts_pk"),
    Index("inbox_contacts_session", "tenant", "inbox", "session", postgresql_where=text("chat = person"),
          sqlite_where=text("chat = person")),
    sqlite_with_rowid=False,
)  # fmt: skip
"""A row a chat key that the person is known under, `person` being the first of them; of rows that differ, which were
one person's only later, the oldest counts."""

inbox_commands = Table(
    "inbox_commands",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("inbox", Text, nullable=False),
    Column("command_id", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("command_seq", BigInteger, nullable=False),
    Column("chat", Text, nullable=False),
    Column("chosen_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "inbox", "command_id", name="inbox_commands_pk"),
    Index("inbox_commands_chat", "tenant", "chat", "inbox"),
    Index("inbox_commands_expiry", "expires_at"),
    sqlite_with_rowid=False,
)
"""Which session a command was given to: for good, so that it is claimed there and nowhere else. `due_at`: when it is or
was to be queued; `expires_at`: as that of its idempotency record."""
