"""Files that messages named and WhatsApp still has: a row each until it is stored, or given up.

What opens a file at WhatsApp is a secret, so it is sealed with the tenant's media key.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage import data_keys
from pywhatsweb_fleet.storage.media_tables import media_fetches
from pywhatsweb_fleet.storage.sealing import Keyring, place
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query, rows_parameters, rows_source

_COLUMNS = (
    "tenant", "media_id", "session", "chat", "message_id", "sealed", "tries", "next_at", "created_at",
)  # fmt: skip


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """A file to get. ``wanted`` is what to ask the engine for, encoded; times in milliseconds since 1970."""

    tenant: str
    media_id: str
    session: str
    chat: str
    message_id: str
    wanted: bytes
    tries: int = 0
    next_at: int = 0
    created_at: int = 0


def ask(conn: Connection, keyring: Keyring, fetch: Fetch) -> None:
    """Takes note of a file to get; nothing when it was noted, or stored, before."""
    known = "SELECT 1 FROM media_refs WHERE tenant = ? AND media_id = ?"
    if query(conn, known, fetch.tenant, fetch.media_id):
        return
    at = (fetch.tenant, data_keys.MEDIA)
    cipher = data_keys.ciphers(conn, keyring, [at], make=True)[at]
    sealed = cipher.seal(fetch.wanted, _place(fetch.tenant, fetch.media_id))
    row = (
        fetch.tenant, fetch.media_id, fetch.session, fetch.chat, fetch.message_id, sealed, fetch.tries,
        fetch.next_at, fetch.created_at,
    )  # fmt: skip
    insert_rows(conn, media_fetches, _COLUMNS, [row], "(tenant, media_id) DO NOTHING")


def due(
    conn: Connection, keyring: Keyring, sessions: Sequence[tuple[str, str]], now: int, limit: int
) -> list[Fetch]:
    """Of these (tenant, session), what may be tried now: of each tenant the oldest, then of each the next, and so on.

    Raises Unsealable.
    """
    postgres = is_postgres(conn)
    source = rows_source(postgres, media_fetches, ("tenant", "session"))
    mark = "%s" if postgres else "?"
    rows = conn.exec_driver_sql(
        f"SELECT {', '.join(_COLUMNS)} FROM (SELECT f.*, "
        "row_number() OVER (PARTITION BY f.tenant ORDER BY f.next_at, f.created_at, f.media_id) AS turn "
        f"FROM {source} JOIN media_fetches f "
        f"ON f.tenant = batch.tenant AND f.session = batch.session AND f.next_at <= {mark}) AS due "
        f"ORDER BY turn, next_at LIMIT {mark}",
        (*rows_parameters(sessions), now, limit),
    ).fetchall()
    ciphers = data_keys.ciphers(
        conn, keyring, sorted({(row[0], data_keys.MEDIA) for row in rows}), make=False
    )
    return [
        Fetch(
            tenant=tenant, media_id=media_id, session=session, chat=chat, message_id=message_id,
            wanted=ciphers[tenant, data_keys.MEDIA].open(bytes(sealed), _place(tenant, media_id)),
            tries=tries, next_at=next_at, created_at=created_at,
        )
        for tenant, media_id, session, chat, message_id, sealed, tries, next_at, created_at in rows
    ]  # fmt: skip


def postpone(conn: Connection, tenant: str, media_id: str, tries: int, next_at: int) -> None:
    sql = (
        "UPDATE media_fetches SET tries = ?, next_at = ? WHERE tenant = ? AND media_id = ? RETURNING media_id"
    )
    query(conn, sql, tries, next_at, tenant, media_id)


def forget(conn: Connection, tenant: str, media_id: str) -> None:
    """It is stored, or never will be."""
    sql = "DELETE FROM media_fetches WHERE tenant = ? AND media_id = ? RETURNING media_id"
    query(conn, sql, tenant, media_id)


def wanted(conn: Connection, tenant: str, media_id: str) -> bool:
    """Whether it is still to be got: an erasure takes the row away."""
    sql = "SELECT 1 FROM media_fetches WHERE tenant = ? AND media_id = ?"
    return bool(query(conn, sql, tenant, media_id))


def _place(tenant: str, media_id: str) -> bytes:
    return place("media fetch", tenant, media_id)
