"""What deletions left behind in a database's own files, rewritten: needed where "deleted" has to mean gone.

SQLite: VACUUM builds the file anew, and the log is emptied into it. PostgreSQL: VACUUM FULL writes each table anew; its
write-ahead log keeps old pages until it is recycled (a checkpoint or two, or the archive's own retention).
Both lock out writers while they work, so what is larger than a bound is left, and said.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from pywhatsweb_fleet.storage.connections import Turns, parse_url
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.schema import metadata

MOST_BYTES: Final = 2 * 2**30
_PATIENCE_S: Final = 30.0
_LOCK_TIMEOUT_S: Final = 10


def scour(url: str, most_bytes: int = MOST_BYTES) -> list[str]:
    """Rewrites the files; what was left, a sentence each. Blocks. Raises StorageUnavailable."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _scour_sqlite(Path(parsed.database or ""), most_bytes)
    return _scour_postgres(parsed, most_bytes)


def _scour_sqlite(path: Path, most_bytes: int) -> list[str]:
    left = []
    turns = Turns(str(path))
    try:
        with sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None) as conn:
            if path.stat().st_size > most_bytes:
                left.append("sqlite: the file is too large to be rewritten while the fleet runs; run VACUUM")
            else:
                with turns.one():
                    _optimise_search(conn)
                    conn.execute("VACUUM")
            if not _empty_log(conn):
                left.append("sqlite: readers keep the write-ahead log; it is emptied when they are done")
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(f"the database could not be rewritten ({type(error).__name__})") from None
    finally:
        turns.close()
    return left


def _optimise_search(conn: sqlite3.Connection) -> None:
    """Full-text indexes keep words of deleted rows until their parts are merged."""
    for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%USING fts5%'").fetchall():
        conn.execute(f'INSERT INTO "{name}" ("{name}") VALUES (\'optimize\')')  # noqa: S608 - a table of ours


def _empty_log(conn: sqlite3.Connection) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
            return True
        time.sleep(0.05)
    return False


def _scour_postgres(url: sqlalchemy.URL, most_bytes: int) -> list[str]:
    left = []
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT_S}s'")
            for name, size in _leaves(conn):
                if size > most_bytes:
                    conn.exec_driver_sql(f"VACUUM {name}")
                    left.append(f"postgresql: {name} is too large to be rewritten while the fleet runs")
                    continue
                try:
                    conn.exec_driver_sql(f"VACUUM FULL {name}")
                except DBAPIError:
                    left.append(f"postgresql: {name} was in use; run VACUUM FULL {name}")
            conn.exec_driver_sql("CHECKPOINT")
    except DBAPIError as error:
        if left or "must be superuser" in str(error) or "pg_checkpoint" in str(error):
            return left  # the server checkpoints by itself, a little later
        raise StorageUnavailable(
            f"the database could not be rewritten ({type(error.orig).__name__})"
        ) from None
    finally:
        engine.dispose()
    return left


def _leaves(conn: sqlalchemy.Connection) -> list[tuple[str, int]]:
    """Our tables that hold rows themselves (partitions, not their parents), with their sizes."""
    sql = (
        "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c "
        "LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent "
        "WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND coalesce(p.relname, c.relname) = ANY(%s)"
    )
    names = [table.name for table in metadata.sorted_tables]
    return [(row[0], row[1]) for row in conn.exec_driver_sql(sql, (names,)).fetchall()]
