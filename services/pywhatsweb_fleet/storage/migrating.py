"""Brings a database's schema to the newest version with Alembic, from Python, safely when several start at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from pywhatsweb_fleet.storage.webhook_tables import metadata

_ADVISORY_LOCK = 0x70777765
_alembic = threading.Lock()
"""Alembic's ``op`` is one object for the whole process."""


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config, ScriptDirectory.from_config(config)


def head() -> str | None:
    """The version that this code expects."""
    return _scripts()[1].get_current_head()


def version(conn: Connection) -> str | None:
    """The version that the database has; None when it is empty."""
    return MigrationContext.configure(conn).get_current_revision()


def revisions() -> list[str]:
    """All versions, the oldest first."""
    return [script.revision for script in _scripts()[1].walk_revisions()][::-1]


def upgrade(conn: Connection, to: str = "head") -> None:
    """Runs what is missing, all in the transaction of ``conn``.

    SQLite's BEGIN IMMEDIATE already keeps others out; PostgreSQL needs a lock that stands for "migrating".
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    with _alembic:
        config, scripts = _scripts()

        def missing(revision: Any, _context: Any) -> Any:
            return scripts._upgrade_revs(to, revision)  # noqa: SLF001 - as alembic.command.upgrade does

        with EnvironmentContext(config, scripts, fn=missing) as environment:
            environment.configure(connection=conn, target_metadata=metadata)
            with environment.begin_transaction():
                environment.run_migrations()
