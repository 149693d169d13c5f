"""The Kanban board's tables. What the cards say comes first in `kanban_cards`; `chats` follows it by events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text, text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

kanban_cards = Table(
    "kanban_cards",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("owner", Text),
    Column("opened_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("card", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "chat", "session", name="kanban_cards_pk"),
    Index(
        "kanban_cards_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("kanban_cards_owner", "tenant", "status", "owner", "opened_at"),
)
"""The board; `card` is JSON, the columns before it are for finding. `due_at`: when a timer looks at it."""

kanban_log = Table(
    "kanban_log",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("change", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("previous", Text),
    Column("owner", Text),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "chat", "session", "version", name="kanban_log_pk"),
)
"""Every transition of every card."""

kanban_outbox = Table(
    "kanban_outbox",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("chat", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("event", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "chat", "session", "version", "kind", name="kanban_outbox_pk"),
)
"""Events of transitions that are committed and not yet in the stream; a row goes when the stream has it."""

kanban_actions = Table(
    "kanban_actions",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "chat", "session", "name", name="kanban_actions_pk"),
)
"""What rules do, committed and not yet published: a command (`kind` send) or an alert, perhaps for one webhook alone.
`name`: the rule and what it answered to."""

kanban_attendants = Table(
    "kanban_attendants",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("attendant", Text, nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "attendant", name="kanban_attendants_pk"),
)

kanban_policies = Table(
    "kanban_policies",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", name="kanban_policies_pk"),
)

kanban_places = Table(
    "kanban_places",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", name="kanban_places_pk"),
)
"""How far the tenant's events are on the board: moved in the transaction that puts them there."""
