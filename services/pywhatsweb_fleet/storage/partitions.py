"""PostgreSQL's months: made ahead, dropped by retention. On SQLite the same calls delete rows, or do nothing."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from sqlalchemy import Connection, Table

from pywhatsweb_fleet.storage.statements import is_postgres, query
from pywhatsweb_fleet.storage.tables import PARTITIONED

_LOCK = 0x70770002


class Month(NamedTuple):
    year: int
    month: int

    @classmethod
    def of(cls, ms: int) -> Month:
        day = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
        return cls(day.year, day.month)

    def plus(self, months: int) -> Month:
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def begins(self) -> int:
        """Milliseconds since 1970."""
        return int(dt.datetime(self.year, self.month, 1, tzinfo=dt.UTC).timestamp() * 1000)

    def name(self, table: Table) -> str:
        return f"{table.name}_{self.year:04}_{self.month:02}"


def make_ahead(conn: Connection, now: int, ahead: int = 2) -> list[str]:
    """Makes the partitions of this month and the next ``ahead`` ones; the names of those that are new."""
    if not is_postgres(conn):
        return []
    query(conn, "SELECT pg_advisory_xact_lock(?)", _LOCK)
    made = []
    for table in PARTITIONED:
        present = set(_partitions(conn, table))
        for month in (Month.of(now).plus(count) for count in range(ahead + 1)):
            if (name := month.name(table)) not in present:
                _make(conn, table, name, month)
                made.append(name)
    return made


def _make(conn: Connection, table: Table, name: str, month: Month) -> None:
    begins, ends = month.begins, month.plus(1).begins
    columns = ", ".join(table.c.keys())
    conn.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    # Rows of the month that came before its partition lie in the default one, which would refuse the new neighbour.
    conn.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {table.name}_default WHERE recorded_at >= {begins} AND recorded_at < {ends} "
        f"RETURNING {columns}) INSERT INTO {name} ({columns}) SELECT {columns} FROM moved"
    )
    conn.exec_driver_sql(
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ({begins}) TO ({ends})"
    )


def drop_before(conn: Connection, before: int, limit: int = 10_000) -> int:
    """Removes the months that ended before the time: partitions dropped, or on SQLite rows deleted.

    How many; at most ``limit`` rows a table on SQLite: call again while there are some.
    """
    if not is_postgres(conn):
        first_kept = Month.of(before).begins
        return sum(_delete(conn, table, "", (first_kept,), limit) for table in PARTITIONED)
    query(conn, "SELECT pg_advisory_xact_lock(?)", _LOCK)
    dropped = 0
    for table in PARTITIONED:
        oldest_kept = Month.of(before).name(table)
        for name in _partitions(conn, table):
            if name < oldest_kept and not name.endswith("_default"):
                conn.exec_driver_sql(f"DROP TABLE {name}")
                dropped += 1
    return dropped


def forget(conn: Connection, tenant: str, before: int, limit: int = 10_000) -> int:
    """Deletes a tenant's messages and statuses recorded before the time, at most ``limit`` of each; how many."""
    return sum(_delete(conn, table, "tenant = ? AND ", (tenant, before), limit) for table in PARTITIONED)


def _delete(conn: Connection, table: Table, also: str, parameters: tuple[str | int, ...], limit: int) -> int:
    keys = ", ".join(column.name for column in table.primary_key)
    sql = (
        f"DELETE FROM {table.name} WHERE ({keys}) IN "
        f"(SELECT {keys} FROM {table.name} WHERE {also}recorded_at < ? LIMIT ?)"
    )
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return conn.exec_driver_sql(sql, (*parameters, limit)).rowcount


def _partitions(conn: Connection, table: Table) -> list[str]:
    sql = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(?) ORDER BY c.relname"
    )
    return [row[0] for row in query(conn, sql, table.name)]
