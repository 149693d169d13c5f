"""What storage raises, and which of the databases' errors mean what.

* StorageUnavailable: the database is gone, full or too slow; nothing is wrong with what was asked.
* Fenced: a newer owner of the session exists; the caller has to stop.
* Unsealable: a sealed row does not open with the keys at hand; KeyMissing: its master key may come yet.
"""

from __future__ import annotations

import enum
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class StorageUnavailable(Exception):
    """The database did not do it in time; a commit that was under way may have happened all the same."""

    code = "E_STORAGE_UNAVAILABLE"


class Fenced(Exception):
    """The writer's epoch is older than ``current``: somebody else owns the session now."""

    code = "E_NOT_OWNER"

    def __init__(self, epoch: int, current: int) -> None:
        super().__init__(f"epoch {epoch} is fenced off by {current}")
        self.epoch = epoch
        self.current = current


class Unsealable(Exception):
    """A row was sealed by a key that is not there, or was changed or moved since."""

    code = "E_CREDENTIALS_UNREADABLE"


class KeyMissing(Unsealable):
    """The master key it takes is not on the ring: it may be on its way here, so what needs it waits."""


class Cause(enum.Enum):
    """What an error from the database asks for."""

    CONTENTION = "contention"
    """Another transaction was in the way: try again."""
    GONE = "gone"
    """The connection is lost or refused: another connection may do."""
    STATEMENT = "statement"
    """What was asked is at fault: a constraint, a type, SQL."""


_SQLITE_CONTENTION = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_GONE = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_NOMEM,
}
_POSTGRES_CONTENTION = {"40001", "40P01", "55P03"}
_POSTGRES_GONE_CLASSES = ("08", "53", "57", "58")
"""Connection exception, insufficient resources, operator intervention (shutdown, start-up, cancel), system error."""


def cause_of(error: SQLAlchemyError) -> Cause:
    if isinstance(error, PoolTimeout):
        return Cause.GONE
    if not isinstance(error, DBAPIError):
        return Cause.STATEMENT
    original = error.orig
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        if code in _SQLITE_CONTENTION:
            return Cause.CONTENTION
        return Cause.GONE if code in _SQLITE_GONE else Cause.STATEMENT
    state = getattr(original, "sqlstate", None)
    if state in _POSTGRES_CONTENTION:
        return Cause.CONTENTION
    if error.connection_invalidated or (state is not None and state.startswith(_POSTGRES_GONE_CLASSES)):
        return Cause.GONE
    if state is None and type(original).__name__ in (
        "OperationalError",
        "InterfaceError",
        "ConnectionTimeout",
    ):
        return Cause.GONE  # psycopg's own: no server, no route, the socket was closed
    return Cause.STATEMENT
