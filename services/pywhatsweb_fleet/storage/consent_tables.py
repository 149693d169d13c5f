"""Tables of whom a tenant may write to: who opted out, who agreed to what, and the words that opt somebody out."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

optouts = Table(
    "optouts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("word", Text),
    Column("session", Text),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", "chat", name="optouts_pk"),
    sqlite_with_rowid=False,
)
"""A row a chat key that the person is known under, ``person`` being the first of them; keys are digests, so the table
names nobody. ``state``: ``out`` or ``in``; the greatest ``at`` wins."""

optout_words = Table(
    "optout_words",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", name="optout_words_pk"),
)
"""Where a tenant has other words than the usual ones: `words` is JSON, a list of them, normalised."""

consents = Table(
    "consents",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("pn", Text),
    Column("lid", Text),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("text", Text),
    Column("recorded_by", Text),
    Column("withdrawn_at", BigInteger),
    Column("withdrawn_by", Text),
    PrimaryKeyConstraint("tenant", "purpose", "chat", name="consents_pk"),
    sqlite_with_rowid=False,
)
"""What somebody agreed to last, for each purpose; what came before stands in the audit trail."""
