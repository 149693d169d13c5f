"""Stored files: objects by their content, and who holds them.

An object is the plain file's SHA-256 within a tenant; a *reference* (its id is the media id that users see) holds it
for an upload or for a message of a chat. The last reference that goes takes the object along: its key moves into
`media_leftovers` in the same transaction, and whoever sweeps that table removes the bytes. So nothing is lost or kept
by a crash between the database and the object store.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage.media_tables import media_leftovers, media_refs
from pywhatsweb_fleet.storage.statements import (
    insert_rows,
    is_postgres,
    query,
    rows_parameters,
    rows_source,
)
from pywhatsweb_fleet.storage.tables import media

Origin = Literal["upload", "message"]


class Object(msgspec.Struct, frozen=True):
    """Bytes in the object store. ``size`` of the plain file."""

    sha256: str
    size: int
    mime_type: str
    object_key: str


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds an object. Times in milliseconds since 1970; ``expires_at`` None: never."""

    media_id: str
    sha256: str
    origin: Origin
    mime_type: str
    filename: str | None = None
    session: str | None = None
    chat: str | None = None
    message_id: str | None = None
    created_at: int = 0
    expires_at: int | None = None


class Held(msgspec.Struct, frozen=True):
    """A reference and its object."""

    reference: Reference
    object: Object


_REF = msgspec.structs.fields(Reference)
_COLUMNS = tuple(field.name for field in _REF)
_HELD = (
    "SELECT "
    + ", ".join("r." + name for name in _COLUMNS)
    + (
        ", m.size, m.mime_type, m.object_key FROM media_refs r "
        "JOIN media m ON m.tenant = r.tenant AND m.sha256 = r.sha256"
    )
)


def intend(conn: Connection, tenant: str, object_key: str, until: int) -> None:
    """Names an object that is about to be written; it is swept after ``until`` unless `hold` adopts it."""
    insert_rows(
        conn, media_leftovers, ("tenant", "object_key", "remove_at"), [(tenant, object_key, until)],
        "(tenant, object_key) DO NOTHING",
    )  # fmt: skip


def intend_now(conn: Connection, tenant: str, object_key: str, now: int) -> None:
    """The object named before is not needed: the next sweep may take it, unless a row adopted it."""
    sql = "UPDATE media_leftovers SET remove_at = ? WHERE tenant = ? AND object_key = ?"
    _execute(conn, sql, now, tenant, object_key)


def hold(conn: Connection, tenant: str, written: Object, reference: Reference) -> Object:
    """Adds a reference; the object that it holds: ``written``, or the one there was with the same content.

    A reference that is there already stays as it was (its content too: an id names one file for ever).
    """
    kept = held(conn, tenant, reference.media_id)
    if kept is not None:
        return kept.object
    insert_rows(
        conn, media, ("tenant", "sha256", "mime_type", "size", "object_key", "state", "created_at"),
        [(tenant, written.sha256, written.mime_type, written.size, written.object_key, "stored", _now())],
        "(tenant, sha256) DO NOTHING",
    )  # fmt: skip
    there = _locked(conn, tenant, written.sha256)
    if there is None:
        # Its last holder went between the two statements: the row is free again, and ours this time.
        return hold(conn, tenant, written, reference)
    if there.object_key == written.object_key:
        _execute(
            conn,
            "DELETE FROM media_leftovers WHERE tenant = ? AND object_key = ?",
            tenant,
            written.object_key,
        )
    _refer(conn, tenant, reference)
    return there


def share(conn: Connection, tenant: str, media_id: str, reference: Reference) -> Held | None:
    """Another holder of the same object; None when ``media_id`` is unknown. ``reference.sha256`` is its."""
    known = held(conn, tenant, media_id)
    if known is None or _locked(conn, tenant, known.object.sha256) is None:
        return None
    _refer(conn, tenant, reference)
    return held(conn, tenant, reference.media_id)


def _refer(conn: Connection, tenant: str, reference: Reference) -> None:
    row = (tenant, *msgspec.structs.astuple(reference))
    insert_rows(conn, media_refs, ("tenant", *_COLUMNS), [row], "(tenant, media_id) DO NOTHING")


def _locked(conn: Connection, tenant: str, sha256: str) -> Object | None:
    """The object's row, which nobody removes before this transaction ends."""
    sql = "SELECT sha256, size, mime_type, object_key FROM media WHERE tenant = ? AND sha256 = ?"
    rows = query(conn, sql + (" FOR UPDATE" if is_postgres(conn) else ""), tenant, sha256)
    return Object(*rows[0]) if rows else None


def held(conn: Connection, tenant: str, media_id: str) -> Held | None:
    rows = query(conn, f"{_HELD} WHERE r.tenant = ? AND r.media_id = ?", tenant, media_id)
    return _held(rows[0]) if rows else None


def of_message(conn: Connection, tenant: str, session: str, message_id: str) -> Held | None:
    """The file of a message."""
    rows = query(
        conn, f"{_HELD} WHERE r.tenant = ? AND r.session = ? AND r.message_id = ?", tenant, session, message_id
    )  # fmt: skip
    return _held(rows[0]) if rows else None


def page(
    conn: Connection,
    tenant: str,
    *,
    chats: Sequence[str] = (),
    after: tuple[int, str] | None = None,
    limit: int,
) -> list[Held]:
    """References, newest first, of these chats when given; ``after``: the (created_at, media_id) of the last one."""
    where, values = _of_chats(chats)
    if after is not None:
        where += " AND (r.created_at, r.media_id) < (?, ?)"
        values += after
    sql = f"{_HELD} WHERE r.tenant = ?{where} ORDER BY r.created_at DESC, r.media_id DESC LIMIT ?"
    return [_held(row) for row in query(conn, sql, tenant, *values, limit)]


def _of_chats(chats: Sequence[str]) -> tuple[str, tuple[object, ...]]:
    if not chats:
        return "", ()
    return f" AND r.chat IN ({', '.join('?' * len(chats))})", tuple(chats)


class Dropped(msgspec.Struct, frozen=True):
    """What `drop` did; ``keys`` are the objects that nobody holds any more, in `media_leftovers` by now."""

    references: int
    keys: Sequence[str]


def drop(
    conn: Connection,
    tenant: str,
    *,
    media_ids: Sequence[str] = (),
    chats: Sequence[str] = (),
    messages: Sequence[tuple[str, str]] = (),
) -> Dropped:
    """Removes references by id, by chat or by (session, message id), what was still to be fetched for them included."""
    postgres = is_postgres(conn)
    gone: set[str] = set()
    count = 0
    for columns, rows in (
        (("media_id",), [(one,) for one in media_ids]),
        (("chat",), [(one,) for one in chats]),
        (("session", "message_id"), [*messages]),
    ):
        if not rows:
            continue
        source = rows_source(postgres, media_refs, columns)
        names = ", ".join(columns)
        for table in ("media_refs", "media_fetches"):
            found = conn.exec_driver_sql(
                f"DELETE FROM {table} WHERE tenant = {'%s' if postgres else '?'} AND ({names}) IN "
                f"(SELECT {names} FROM {source}) RETURNING {'sha256' if table == 'media_refs' else 'media_id'}",
                (tenant, *rows_parameters(rows)),
            ).fetchall()
            if table == "media_refs":
                gone.update(row[0] for row in found)
                count += len(found)
    return Dropped(count, _let_go(conn, tenant, sorted(gone)))


def expire(conn: Connection, now: int, limit: int) -> int:
    """Drops references past their time, of any tenant; how many: less than ``limit`` when none is left."""
    rows = query(
        conn, "SELECT tenant, media_id FROM media_refs WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit
    )  # fmt: skip
    by_tenant: dict[str, list[str]] = {}
    for tenant, media_id in rows:
        by_tenant.setdefault(tenant, []).append(media_id)
    for tenant, media_ids in sorted(by_tenant.items()):
        drop(conn, tenant, media_ids=media_ids)
    return len(rows)


def _let_go(conn: Connection, tenant: str, hashes: Sequence[str]) -> list[str]:
    """Of these contents, removes the objects that nobody holds; their keys."""
    if not hashes:
        return []
    postgres = is_postgres(conn)
    source = rows_source(postgres, media, ("sha256",))
    mark = "%s" if postgres else "?"
    given = (tenant, *rows_parameters([(one,) for one in hashes]))
    of_these = f"tenant = {mark} AND sha256 IN (SELECT sha256 FROM {source})"
    if postgres:
        # A second statement sees the references of whoever held the row until now.
        conn.exec_driver_sql(f"SELECT 1 FROM media WHERE {of_these} ORDER BY sha256 FOR UPDATE", given)
    held_still = "SELECT 1 FROM media_refs r WHERE r.tenant = media.tenant AND r.sha256 = media.sha256"
    rows = conn.exec_driver_sql(
        f"DELETE FROM media WHERE {of_these} AND NOT EXISTS ({held_still}) RETURNING object_key", given
    ).fetchall()
    keys = [row[0] for row in rows if row[0]]
    now = _now()
    insert_rows(
        conn, media_leftovers, ("tenant", "object_key", "remove_at"), [(tenant, key, now) for key in keys],
        "(tenant, object_key) DO UPDATE SET remove_at = excluded.remove_at",
    )  # fmt: skip
    return keys


def leftovers(conn: Connection, now: int, limit: int) -> list[tuple[str, str]]:
    """(tenant, object key) of what may be removed."""
    sql = "SELECT tenant, object_key FROM media_leftovers WHERE remove_at <= ? ORDER BY remove_at LIMIT ?"
    return [(row[0], row[1]) for row in query(conn, sql, now, limit)]


def swept(conn: Connection, rows: Sequence[tuple[str, str]]) -> None:
    """These objects are no more."""
    postgres = is_postgres(conn)
    source = rows_source(postgres, media_leftovers, ("tenant", "object_key"))
    conn.exec_driver_sql(
        f"DELETE FROM media_leftovers WHERE (tenant, object_key) IN (SELECT tenant, object_key FROM {source})",
        rows_parameters(rows),
    )


def _held(row: Sequence[object]) -> Held:
    *fields, size, mime_type, object_key = row
    reference = Reference(**dict(zip(_COLUMNS, fields, strict=True)))  # type: ignore[arg-type]
    return Held(reference, Object(reference.sha256, size, mime_type, object_key))  # type: ignore[arg-type]


def _execute(conn: Connection, sql: str, *values: object) -> int:
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return conn.exec_driver_sql(sql, values).rowcount


def _now() -> int:
    return time.time_ns() // 1_000_000
