"""Statements that both databases understand, for many rows at once.

A batch of rows is one JSON text of arrays, which ``json_each`` (SQLite) or ``jsonb_array_elements`` (PostgreSQL) turns
into a FROM item: a single statement, prepared once, whatever the number of rows, and it may return what it did. It is
also the cheapest way to PostgreSQL short of COPY: 2 µs a row of 19 columns here, against 50 for arrays of each column
(``unnest``).

Plain inserts on SQLite take their rows as parameters of one VALUES of up to 64 rows, which costs half of JSON. Not
``executemany``: that gives up the interpreter's lock and takes it back at every row, and beside a busy event loop each
taking waits for up to the switch interval (measured: 70 µs a row instead of 12).
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    CursorResult,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
)

_CASTS: Final = {
    BigInteger: "(e->>{})::int8",
    Boolean: "(e->>{})::bool",
    Integer: "(e->>{})::int4",
    SmallInteger: "(e->>{})::int2",
}
_SIZES: Final = (64, 8, 1)
"""Rows in one VALUES: few sizes, so that each statement is prepared once. 64 rows of 20 columns are within SQLite's
least limit of 32,766 parameters."""
_to_json = msgspec.json.Encoder().encode


def is_postgres(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


@lru_cache(maxsize=256)
def rows_source(postgres: bool, table: Table, columns: tuple[str, ...]) -> str:
    """A FROM item ``batch`` of the given columns, with their types.

    A column that the table has not is an integer. On SQLite a binary column cannot be among them.
    """
    if postgres:
        fields = ", ".join(f"{_field(table, column, at)} AS {column}" for at, column in enumerate(columns))
        # OFFSET 0 keeps the planner from taking the fields out of the JSON again wherever they are named.
        return f"(SELECT {fields} FROM jsonb_array_elements(%s::jsonb) AS e OFFSET 0) AS batch"
    fields = ", ".join(f"json_extract(value, '$[{at}]') AS {column}" for at, column in enumerate(columns))
    return f"(SELECT {fields} FROM json_each(?)) AS batch"


def _field(table: Table, column: str, at: int) -> str:
    kind = type(table.c[column].type) if column in table.c else BigInteger
    if kind is LargeBinary:
        return f"decode(e->>{at}, 'base64')"  # as msgspec writes bytes
    return _CASTS.get(kind, "e->>{}").format(at)


def rows_parameters(rows: Sequence[Sequence[Any]]) -> tuple[str]:
    """``rows`` as `rows_source` wants them."""
    return (_to_json(rows).decode(),)


def insert_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], conflict: str
) -> int:
    """Inserts rows of values in the order of ``columns``; how many. ``conflict``: what follows ``ON CONFLICT``."""
    return sum(result.rowcount for result in _insert(conn, table, columns, rows, "true", conflict))


def insert_once(
    conn: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    identity: tuple[str, ...],
) -> set[Any]:
    """Inserts the rows whose ``identity`` columns the table has not yet; the last of these columns, of each.

    For tables whose key has to end with the column that they are partitioned by: the same event told again at another
    time has another key. ``rows`` themselves hold each identity once.
    """
    same = " AND ".join(f"known.{column} = batch.{column}" for column in identity)
    new = f"NOT EXISTS (SELECT 1 FROM {table.name} known WHERE {same})"
    results = _insert(conn, table, columns, rows, new, f"DO NOTHING RETURNING {identity[-1]}")
    return {row[0] for result in results for row in result.fetchall()}


def _insert(  # noqa: PLR0917 - called here alone
    conn: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    where: str,
    conflict: str,
) -> Iterator[CursorResult[Any]]:
    """The result of each statement that it takes."""
    if is_postgres(conn):
        if rows:
            yield conn.exec_driver_sql(_from_json(table, columns, where, conflict), rows_parameters(rows))
        return
    done = 0
    for size in _SIZES:
        statement = _from_values(table, columns, where, conflict, size)
        while len(rows) - done >= size:
            parameters = tuple(value for row in rows[done : done + size] for value in row)
            yield conn.exec_driver_sql(statement, parameters)
            done += size


@lru_cache(maxsize=256)
def _from_json(table: Table, columns: tuple[str, ...], where: str, conflict: str) -> str:
    names = ", ".join(columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {rows_source(True, table, columns)} "
        f"WHERE {where} ON CONFLICT {conflict}"
    )


@lru_cache(maxsize=256)
def _from_values(table: Table, columns: tuple[str, ...], where: str, conflict: str, size: int) -> str:
    names = ", ".join(columns)
    marks = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * size)
    return (
        f"INSERT INTO {table.name} ({names}) WITH batch({names}) AS (VALUES {marks}) SELECT {names} FROM batch "
        f"WHERE {where} ON CONFLICT {conflict}"
    )


def greatest(conn: Connection) -> str:
    """The function that gives the greatest of its arguments (none of them null)."""
    return "greatest" if is_postgres(conn) else "max"


def query(conn: Connection, sql: str, *parameters: Any) -> list[Any]:
    """The rows of a statement whose parameters are written as ``?``."""
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return list(conn.exec_driver_sql(sql, parameters).fetchall())
