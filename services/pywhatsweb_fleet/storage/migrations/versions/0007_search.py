"""Full-text search of messages, and an index of them by time.

Expand only: the statements of the version before run on (its inserts are indexed by triggers and the database itself).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

STATISTICS = (("messages", "messages_time", "1000000 100000 1 1 1"),)

_COLUMNS = (
    "tenant", "message_id", "event_id", "recorded_at", "session", "chat", "kind", "type", "origin", "from_self",
    "sender_pn", "sender_lid", "sender_name", "command_id", "target_id", "body", "content", "sent_at",
)  # fmt: skip
_SEARCHED = "{row}body IS NOT NULL AND {row}kind IN ('message', 'edit')"

# A number that VACUUM does not change: the search index knows a message by nothing else.
_SQLITE_TABLE = """
CREATE TABLE messages_numbered (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL, message_id TEXT NOT NULL, event_id TEXT NOT NULL, recorded_at BIGINT NOT NULL,
    session TEXT NOT NULL, chat TEXT NOT NULL, kind TEXT NOT NULL, type TEXT NOT NULL, origin TEXT NOT NULL,
    from_self BOOLEAN NOT NULL, sender_pn TEXT, sender_lid TEXT, sender_name TEXT, command_id TEXT, target_id TEXT,
    body TEXT, content TEXT NOT NULL, sent_at BIGINT NOT NULL,
    CONSTRAINT messages_pk UNIQUE (tenant, message_id, event_id, recorded_at)
)
"""
# Of the words nothing but the index is kept (``content=''``). ``scope`` has whose they are as words of their own, so
# that a tenant's search reads no other tenant's entries.
_SQLITE_SEARCH = """
CREATE VIRTUAL TABLE message_search USING fts5(
    body, scope, content='', columnsize=0, tokenize='unicode61 remove_diacritics 2'
)
"""
_SCOPE = "'t' || {row}tenant || ' s' || {row}session || ' c' || {row}chat"
_NEW, _OLD = _SEARCHED.format(row="new."), _SEARCHED.format(row="old.")
_ADD = f"""
    INSERT INTO message_search (rowid, body, scope)
    SELECT new.number, new.body, {_SCOPE.format(row="new.")} WHERE {_NEW};
"""
_TAKE = f"""
    INSERT INTO message_search (message_search, rowid, body, scope)
    SELECT 'delete', old.number, old.body, {_SCOPE.format(row="old.")} WHERE {_OLD};
"""
_CHANGED = "AFTER UPDATE OF tenant, session, chat, kind, body ON messages"
_TRIGGERS = (
    f"CREATE TRIGGER messages_search_added AFTER INSERT ON messages WHEN {_NEW} BEGIN {_ADD} END",
    f"CREATE TRIGGER messages_search_deleted AFTER DELETE ON messages WHEN {_OLD} BEGIN {_TAKE} END",
    # One for both: of two triggers it would be the younger that comes first.
    f"CREATE TRIGGER messages_search_changed {_CHANGED} BEGIN {_TAKE} {_ADD} END",
)

# Letters without their marks, as SQLite's remove_diacritics has them; ``normalize`` and the rest are immutable, which
# an index asks for and the extension unaccent is not. The words with a space in them say whose a message is and in
# which hour it came; the parser makes none such, so nobody's text can look like one.
_POSTGRES_FOLD = """
CREATE FUNCTION pww_fold(words text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN words ~ '^[\\x01-\\x7f]*$' THEN words
       ELSE regexp_replace(normalize(words, NFKD), '[\\u0300-\\u036f]', '', 'g') END
"""
_POSTGRES_WORDS = """
CREATE FUNCTION pww_message_words(tenant text, session text, chat text, recorded_at bigint, body text)
RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('pg_catalog.simple', pww_fold(left(body, 100000))) || array_to_tsvector(
    ARRAY['t ' || tenant, 's ' || session, 'c ' || chat, 'h ' || (recorded_at / 3600000)::text])
"""
_POSTGRES_INDEX = (
    "CREATE INDEX messages_search ON messages USING gin "
    "(pww_message_words(tenant, session, chat, recorded_at, body)) WITH (gin_pending_list_limit = 512) "
    f"WHERE {_SEARCHED.format(row='')}"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _number_messages()
    else:
        op.execute(_POSTGRES_FOLD)
        op.execute(_POSTGRES_WORDS)
        op.execute(sa.text(_POSTGRES_INDEX))
    op.create_index(
        "messages_time",
        "messages",
        ["tenant", "sent_at", "session", "origin"],
        unique=False,
        postgresql_where=sa.text("kind = 'message'"),
        sqlite_where=sa.text("kind = 'message'"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table, index, counts in STATISTICS:
            op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608


def _number_messages() -> None:
    """SQLite gives an existing table no key: a new one takes the rows, in the order in which they were recorded."""
    statistics = op.get_bind().exec_driver_sql(
        "SELECT tbl, idx, stat FROM sqlite_stat1 WHERE tbl = 'messages'"
    )
    kept = statistics.fetchall()
    indexes = op.get_bind().exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'messages' AND sql IS NOT NULL"
    )
    statements = [row[0] for row in indexes.fetchall()]
    columns = ", ".join(_COLUMNS)
    op.execute(_SQLITE_TABLE)
    op.execute(
        f"INSERT INTO messages_numbered ({columns}) SELECT {columns} FROM messages ORDER BY recorded_at, event_id"  # noqa: S608
    )
    op.execute("DROP TABLE messages")
    op.execute("ALTER TABLE messages_numbered RENAME TO messages")
    for statement in statements:
        op.execute(statement)
    for table, index, counts in kept:
        op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{counts}')")  # noqa: S608
    op.execute(_SQLITE_SEARCH)
    op.execute(
        f"INSERT INTO message_search (rowid, body, scope) SELECT number, body, {_SCOPE.format(row='')} "  # noqa: S608
        f"FROM messages WHERE {_SEARCHED.format(row='')} ORDER BY number"
    )
    for trigger in _TRIGGERS:
        op.execute(sa.text(trigger))
