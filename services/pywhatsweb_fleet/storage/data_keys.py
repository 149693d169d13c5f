"""Data keys: one a scope of a tenant (a session, its media), sealed by a master key of the ring."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, Wrapped
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import data_keys

MEDIA: Final = "media"
"""The scope of a tenant's stored files."""
WEBHOOKS: Final = "webhooks"
"""The scope of its webhooks' secrets."""

Scope = tuple[str, str]
"""Tenant, scope."""


def ciphers(
    conn: Connection, keyring: Keyring, scopes: Sequence[Scope], *, make: bool
) -> dict[Scope, Cipher]:
    """From the data keys in the database (never from memory alone: a wipe replaces them); ``make`` adds missing ones.

    Raises Unsealable when a master key is not on the ring.
    """
    if not scopes:
        return {}
    wrapped = _wrapped(conn, scopes)
    missing = [at for at in scopes if at not in wrapped]
    if missing and make:
        now = time.time_ns() // 1_000_000
        rows: list[Any] = []
        for tenant, scope in missing:
            new = keyring.new_data_key(tenant, scope)
            rows.append((tenant, scope, new.master_key, new.blob, now))
        insert_rows(
            conn, data_keys, ("tenant", "scope", "master_key", "wrapped", "created_at"), rows,
            "(tenant, scope) DO NOTHING",
        )  # fmt: skip
        wrapped = _wrapped(conn, scopes)
    return {at: keyring.data_key(key, *at) for at, key in wrapped.items()}


def _wrapped(conn: Connection, scopes: Sequence[Scope]) -> dict[Scope, Wrapped]:
    postgres = is_postgres(conn)
    sql = (
        "SELECT k.tenant, k.scope, k.master_key, k.wrapped "
        f"FROM {rows_source(postgres, data_keys, ('tenant', 'scope'))} "
        "JOIN data_keys k ON k.tenant = batch.tenant AND k.scope = batch.scope"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters(scopes)).fetchall()
    return {(tenant, scope): Wrapped(master, bytes(blob)) for tenant, scope, master, blob in rows}
