"""Statements that both databases understand, for many rows at once.

PostgreSQL takes a batch as one array a column (``unnest``), SQLite as one JSON text (``json_each``): a single
statement, prepared once, whatever the number of rows. Both may then return what they did.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, LargeBinary, SmallInteger, Table

_ARRAYS = {BigInteger: "int8", Boolean: "bool", LargeBinary: "bytea", SmallInteger: "int2"}
_to_json = msgspec.json.Encoder().encode


def is_postgres(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


@lru_cache(maxsize=256)
def rows_source(postgres: bool, table: Table, columns: tuple[str, ...]) -> str:
    """A FROM item ``batch`` of the given columns, with their types, and ``place`` (counted from 1).

    A column that the table has not is an integer.
    """
    if postgres:
        arrays = ", ".join(f"%s::{_array_of(table, column)}[]" for column in columns)
        return f"unnest({arrays}) WITH ORDINALITY AS batch({', '.join(columns)}, place)"
    fields = ", ".join(f"json_extract(value, '$[{at}]') AS {column}" for at, column in enumerate(columns))
    return f"(SELECT {fields}, key + 1 AS place FROM json_each(?)) AS batch"


def _array_of(table: Table, column: str) -> str:
    return _ARRAYS.get(type(table.c[column].type), "text") if column in table.c else "int8"


def rows_parameters(postgres: bool, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """``rows`` (at least one) as `rows_source` wants them. No binary values on SQLite: JSON has none."""
    if postgres:
        return tuple(list(column) for column in zip(*rows, strict=True))
    return (_to_json(rows).decode(),)


def insert_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], conflict: str
) -> int:
    """Inserts rows of values in the order of ``columns``; how many. ``conflict``: what follows ``ON CONFLICT``."""
    if not rows:
        return 0
    if is_postgres(conn):
        result = conn.exec_driver_sql(
            _insert_from_batch(table, columns, conflict), rows_parameters(True, rows)
        )
    else:
        result = conn.exec_driver_sql(_insert_values(table, columns, conflict), [tuple(row) for row in rows])
    return result.rowcount


@lru_cache(maxsize=256)
def _insert_from_batch(table: Table, columns: tuple[str, ...], conflict: str) -> str:
    names = ", ".join(columns)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {rows_source(True, table, columns)} "
        f"ON CONFLICT {conflict}"
    )


@lru_cache(maxsize=256)
def _insert_values(table: Table, columns: tuple[str, ...], conflict: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT {conflict}"


def fetch_rows(conn: Connection, sql: str, postgres_sql: str, parameters: Iterable[Any]) -> list[Any]:
    """The rows of a statement written for each database."""
    return list(
        conn.exec_driver_sql(postgres_sql if is_postgres(conn) else sql, tuple(parameters)).fetchall()
    )
