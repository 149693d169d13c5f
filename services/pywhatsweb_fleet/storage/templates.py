"""The templates' statements."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import query

Place = tuple[str, str]
"""Of a template in a list: its name and language."""


class TemplateRow(NamedTuple):
    tenant: str
    name: str
    language: str
    version: int
    content: str
    changed_at: int
    changed_by: str | None


_ROW = ", ".join(TemplateRow._fields)


def put(conn: Connection, row: TemplateRow) -> int:
    """Writes a template; its version, which is one more than before, whatever `row` says."""
    marks = ", ".join("?" * len(row))
    changes = ", ".join(f"{name} = excluded.{name}" for name in ("content", "changed_at", "changed_by"))
    found = query(
        conn,
        f"INSERT INTO templates ({_ROW}) VALUES ({marks}) ON CONFLICT (tenant, name, language) "
        f"DO UPDATE SET version = templates.version + 1, {changes} RETURNING version",
        *row._replace(version=1),
    )
    return int(found[0][0])


def named(conn: Connection, tenant: str, names: Collection[str]) -> list[TemplateRow]:
    """Those of these names, in every language."""
    marks = ", ".join("?" * len(names))
    sql = f"SELECT {_ROW} FROM templates WHERE tenant = ? AND name IN ({marks}) ORDER BY name, language"
    return [TemplateRow(*row) for row in query(conn, sql, tenant, *names)] if names else []


def after(conn: Connection, tenant: str, place: Place, name: str | None, limit: int) -> list[TemplateRow]:
    """By name and language, from behind `place` on; only those of a name, if one is given."""
    sql = f"SELECT {_ROW} FROM templates WHERE tenant = ? AND (name, language) > (?, ?)"
    parameters: list[object] = [tenant, *place]
    if name is not None:
        sql += " AND name = ?"
        parameters.append(name)
    rows = query(conn, f"{sql} ORDER BY name, language LIMIT ?", *parameters, limit)
    return [TemplateRow(*row) for row in rows]


def count(conn: Connection, tenant: str) -> int:
    return int(query(conn, "SELECT count(*) FROM templates WHERE tenant = ?", tenant)[0][0])


def delete(conn: Connection, tenant: str, name: str, language: str | None) -> list[str]:
    """Forgets one language, or all; which there were."""
    sql, parameters = "DELETE FROM templates WHERE tenant = ? AND name = ?", [tenant, name]
    if language is not None:
        sql, parameters = f"{sql} AND language = ?", [*parameters, language]
    return sorted(row[0] for row in query(conn, f"{sql} RETURNING language", *parameters))
