"""Statements that both databases understand, for many rows at once.

PostgreSQL takes a batch as one array a column (``unnest``), SQLite as one JSON text (``json_each``): a single
statement, prepared once, whatever the number of rows. Both may then return what they did.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

from collections.abc import Sequence
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


def insert_once(
    conn: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    identity: tuple[str, ...],
) -> int:
    """Inserts the rows whose ``identity`` columns the table has not yet; how many.

    For tables whose key has to end with the column that they are partitioned by: the same event told again at another
    time has another key. ``rows`` themselves hold each identity once.
    """
    if not rows:
        return 0
    if is_postgres(conn):
        return conn.exec_driver_sql(
            _once_from_batch(table, columns, identity), rows_parameters(True, rows)
        ).rowcount
    return conn.exec_driver_sql(_once_from_values(table, columns, identity), list(map(tuple, rows))).rowcount


@lru_cache(maxsize=64)
def _once_from_batch(table: Table, columns: tuple[str, ...], identity: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    same = " AND ".join(f"known.{column} = batch.{column}" for column in identity)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {rows_source(True, table, columns)} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table.name} known WHERE {same}) ON CONFLICT DO NOTHING"
    )


@lru_cache(maxsize=64)
def _once_from_values(table: Table, columns: tuple[str, ...], identity: tuple[str, ...]) -> str:
    marks = ", ".join(f"?{at + 1}" for at in range(len(columns)))
    same = " AND ".join(f"{column} = ?{columns.index(column) + 1}" for column in identity)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {marks} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE {same}) ON CONFLICT DO NOTHING"
    )


def greatest(conn: Connection) -> str:
    """The function that gives the greatest of its arguments (none of them null)."""
    return "greatest" if is_postgres(conn) else "max"


def query(conn: Connection, sql: str, *parameters: Any) -> list[Any]:
    """The rows of a statement whose parameters are written as ``?``."""
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return list(conn.exec_driver_sql(sql, parameters).fetchall())
