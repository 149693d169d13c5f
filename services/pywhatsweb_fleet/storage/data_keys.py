"""Data keys: one a scope of a tenant (a session, its media), sealed by a master key of the ring.

Which master key seals is agreed on in the database, not in each process: so a rotation knows when nobody seals under
the former one any more, in whatever order the services come to know the new one (ADR 0021).
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, Wrapped
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import data_keys, sealing_keys

MEDIA: Final = "media"
"""The scope of a tenant's stored files."""
WEBHOOKS: Final = "webhooks"
"""The scope of its webhooks' secrets."""

Scope = tuple[str, str]
"""Tenant, scope."""

_PURPOSE: Final = "data_keys"
_AGREED: Final = ("purpose", "master_key", "since")


def ciphers(
    conn: Connection, keyring: Keyring, scopes: Sequence[Scope], *, make: bool
) -> dict[Scope, Cipher]:
    """From the data keys in the database (never from memory alone: a wipe replaces them); ``make`` adds missing ones.

    Raises KeyMissing when a master key is not on the ring.
    """
    if not scopes:
        return {}
    wrapped = _wrapped(conn, scopes)
    missing = [at for at in scopes if at not in wrapped]
    if missing and make:
        now = _now()
        master = sealing(conn, keyring)
        rows: list[Any] = []
        for tenant, scope in missing:
            new = keyring.new_data_key(master, tenant, scope)
            rows.append((tenant, scope, new.master_key, new.blob, now))
        insert_rows(
            conn, data_keys, ("tenant", "scope", "master_key", "wrapped", "created_at"), rows,
            "(tenant, scope) DO NOTHING",
        )  # fmt: skip
        wrapped = _wrapped(conn, scopes)
    return {at: keyring.data_key(key, *at) for at, key in wrapped.items()}


def sealing(conn: Connection, keyring: Keyring) -> str:
    """The id of the master key that seals; the ring's first where none was agreed on yet. Raises KeyMissing.

    It stays so until the transaction ends: `seal_under` waits for it.
    """
    agreed = _agreed(conn)
    if agreed is None:
        insert_rows(conn, sealing_keys, _AGREED, [(_PURPOSE, keyring.first, _now())], "(purpose) DO NOTHING")
        agreed = _agreed(conn)
    assert agreed is not None  # noqa: S101 - it is there, whoever put it
    return keyring.knows(agreed)


def seal_under(conn: Connection, keyring: Keyring) -> None:
    """From its commit on the ring's first key seals, and nobody is sealing under another."""
    insert_rows(
        conn, sealing_keys, _AGREED, [(_PURPOSE, keyring.first, _now())],
        "(purpose) DO UPDATE SET master_key = excluded.master_key, since = excluded.since",
    )  # fmt: skip


def rotate(conn: Connection, keyring: Keyring, limit: int = 1000) -> int:
    """Seals at most ``limit`` data keys of other master keys anew under the one that seals; how many.

    The rows that they seal need no change. Raises KeyMissing when an older master key is not on the ring.
    """
    postgres = is_postgres(conn)
    mark = "%s" if postgres else "?"
    master = sealing(conn, keyring)
    sql = f"SELECT tenant, scope, master_key, wrapped FROM data_keys WHERE master_key <> {mark} LIMIT {mark}"
    found = conn.exec_driver_sql(sql + (" FOR UPDATE" if postgres else ""), (master, limit))
    anew = [
        (wrapped.blob, wrapped.master_key, tenant, scope)
        for tenant, scope, master_key, blob in found.fetchall()
        for wrapped in [keyring.rewrap(Wrapped(master_key, bytes(blob)), master, tenant, scope)]
    ]
    if anew:
        conn.exec_driver_sql(
            f"UPDATE data_keys SET wrapped = {mark}, master_key = {mark} WHERE tenant = {mark} AND scope = {mark}",
            anew,
        )
    return len(anew)


def needed(conn: Connection) -> set[str]:
    """The ids of the master keys that something is sealed under, or will be; the others can go."""
    used = conn.exec_driver_sql(
        "SELECT master_key FROM data_keys UNION SELECT master_key FROM sealing_keys"
    ).fetchall()
    return {key_id for (key_id,) in used}


def _agreed(conn: Connection) -> str | None:
    sql = f"SELECT master_key FROM sealing_keys WHERE purpose = '{_PURPOSE}'"
    row = conn.exec_driver_sql(sql + (" FOR SHARE" if is_postgres(conn) else "")).fetchone()
    return None if row is None else str(row[0])


def _now() -> int:
    return time.time_ns() // 1_000_000


def _wrapped(conn: Connection, scopes: Sequence[Scope]) -> dict[Scope, Wrapped]:
    postgres = is_postgres(conn)
    sql = (
        "SELECT k.tenant, k.scope, k.master_key, k.wrapped "
        f"FROM {rows_source(postgres, data_keys, ('tenant', 'scope'))} "
        "JOIN data_keys k ON k.tenant = batch.tenant AND k.scope = batch.scope"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters(scopes)).fetchall()
    return {(tenant, scope): Wrapped(master, bytes(blob)) for tenant, scope, master, blob in rows}
