"""Files that come in parts: what was announced, until it is finished or given up."""

from __future__ import annotations

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.media_tables import media_uploads
from pywhatsweb_fleet.storage.statements import insert_rows, query


def begin(conn: Connection, tenant: str, upload_id: str, *, size: int, asked: str, now: int) -> None:
    insert_rows(
        conn, media_uploads, ("tenant", "upload_id", "size", "asked", "created_at"),
        [(tenant, upload_id, size, asked, now)], "(tenant, upload_id) DO NOTHING",
    )  # fmt: skip


def find(conn: Connection, tenant: str, upload_id: str) -> tuple[int, str] | None:
    """Announced size in bytes, and what was asked, as JSON."""
    sql = "SELECT size, asked FROM media_uploads WHERE tenant = ? AND upload_id = ?"
    rows = query(conn, sql, tenant, upload_id)
    return (rows[0][0], rows[0][1]) if rows else None


def open_bytes(conn: Connection, tenant: str) -> int:
    """What a tenant's unfinished uploads announced together."""
    rows = query(conn, "SELECT coalesce(sum(size), 0) FROM media_uploads WHERE tenant = ?", tenant)
    return int(rows[0][0])


def end(conn: Connection, tenant: str, upload_id: str) -> None:
    query(
        conn, "DELETE FROM media_uploads WHERE tenant = ? AND upload_id = ? RETURNING upload_id", tenant, upload_id
    )  # fmt: skip


def stale(conn: Connection, before: int, limit: int) -> list[tuple[str, str]]:
    """(tenant, upload id) of those begun before, the oldest first."""
    sql = "SELECT tenant, upload_id FROM media_uploads WHERE created_at < ? ORDER BY created_at LIMIT ?"
    return [(row[0], row[1]) for row in query(conn, sql, before, limit)]
