"""The templates' table: texts with variables that a tenant stored, a row a language."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

templates = Table(
    "templates",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text),
    PrimaryKeyConstraint("tenant", "name", "language", name="templates_pk"),
    sqlite_with_rowid=False,
)
"""`content` is JSON (`contracts.template_data.TemplateText`); `version` counts the changes from 1."""
