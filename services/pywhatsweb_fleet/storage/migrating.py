"""Brings a database's schema to the newest version with Alembic, from Python, safely when several start at once.

Alembic and what it needs are 9 MB of memory: a process that finds its database up to date never imports them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from pywhatsweb_fleet.storage.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_VERSIONS = Path(__file__).with_name("migrations") / "versions"
_ADVISORY_LOCK = 0x70777765
_alembic = threading.Lock()
"""Alembic's ``op`` is one object for the whole process."""


def _scripts() -> tuple[Config, ScriptDirectory]:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_VERSIONS.parent))
    return config, ScriptDirectory.from_config(config)


def head() -> str:
    """The version that this code expects: its migrations' files are named by their versions, in order."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def version(conn: Connection) -> str | None:
    """The version that the database has; None when it is empty."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    found: str | None = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


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
    if to == "head" and version(conn) == head():
        return
    from alembic.runtime.environment import EnvironmentContext

    with _alembic:
        config, scripts = _scripts()

        def missing(revision: Any, _context: Any) -> Any:
            return scripts._upgrade_revs(to, revision)  # noqa: SLF001 - as alembic.command.upgrade does

        with EnvironmentContext(config, scripts, fn=missing) as environment:
            environment.configure(connection=conn, target_metadata=metadata)
            with environment.begin_transaction():
                environment.run_migrations()
