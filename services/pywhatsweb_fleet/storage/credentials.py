"""A session's device and Signal keys: sealed rows, written only by the present owner.

Every write names its epoch (the sequence of the ownership record). The fence row of the session keeps the greatest
one seen: an older writer is refused, in the same transaction as its rows, so a zombie never overwrites what its
successor wrote. A logout deletes the data key with the rows: copies of them that linger on disk do not open.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from pywhatsweb_fleet.storage.data_keys import ciphers
from pywhatsweb_fleet.storage.faults import Fenced, Unsealable
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, place
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import credentials, fences

CREDS = "creds"
"""Kind of the device's own record; its id is empty."""

Row = tuple[str, str, bytes | None]
"""Kind, id, value; None deletes."""
_KEY = ("tenant", "session", "kind", "key_id")


class Write(msgspec.Struct, frozen=True):
    """What one ``keys_set`` unit changes."""

    tenant: str
    session: str
    epoch: int
    creds: bytes | None
    rows: Sequence[Row]


def fence(conn: Connection, tenant: str, session: str, epoch: int) -> None:
    """Refuses every older epoch from now on; the first act of a new owner. Raises Fenced."""
    current = _advance(conn, [(tenant, session, epoch)])[tenant, session]
    if current > epoch:
        raise Fenced(epoch, current)


def write(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection,
    keyring: Keyring,
    tenant: str,
    session: str,
    epoch: int,
    creds: bytes | None,
    rows: Sequence[Row],
) -> None:
    """Changes rows (a later one of the same key wins) and, unless None, the creds. Raises Fenced, Unsealable."""
    (refusal,) = write_many(conn, keyring, [Write(tenant, session, epoch, creds, rows)])
    if refusal is not None:
        raise refusal


def write_many(conn: Connection, keyring: Keyring, writes: Sequence[Write]) -> list[Fenced | None]:
    """`write` for many sessions in a few statements, in their order; those of an older epoch are refused singly."""
    epochs: dict[tuple[str, str], int] = {}
    for one in writes:
        at = (one.tenant, one.session)
        epochs[at] = max(one.epoch, epochs.get(at, 0))
    current = _advance(
        conn, [(tenant, session, epoch) for (tenant, session), epoch in sorted(epochs.items())]
    )
    refusals: list[Fenced | None] = []
    latest: dict[tuple[str, str, str, str], bytes | None] = {}
    for one in writes:
        newest = current[one.tenant, one.session]
        if one.epoch < newest:
            refusals.append(Fenced(one.epoch, newest))
            continue
        refusals.append(None)
        if one.creds is not None:
            latest[one.tenant, one.session, CREDS, ""] = one.creds
        for kind, key_id, value in one.rows:
            latest[one.tenant, one.session, kind, key_id] = value
    ciphers = _ciphers(conn, keyring, sorted({key[:2] for key in latest}), make=True)
    sealed = [
        (*key, ciphers[key[:2]].seal(value, place(*key)))
        for key, value in sorted(latest.items())
        if value is not None
    ]
    insert_rows(
        conn, credentials, (*_KEY, "sealed"), sealed,
        "(tenant, session, kind, key_id) DO UPDATE SET sealed = excluded.sealed",
    )  # fmt: skip
    _delete(conn, sorted(key for key, value in latest.items() if value is None))
    return refusals


def load_creds(conn: Connection, keyring: Keyring, tenant: str, session: str) -> bytes | None:
    """The device's record, or None when the session has never been paired. Raises Unsealable."""
    return get_keys(conn, keyring, tenant, session, CREDS, [""]).get("")


def get_keys(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection, keyring: Keyring, tenant: str, session: str, kind: str, ids: Sequence[str]
) -> dict[str, bytes]:
    """The values of the ids that exist. Raises Unsealable."""
    wanted = [(tenant, session, kind, key_id) for key_id in dict.fromkeys(ids)]
    if not wanted:
        return {}
    postgres = is_postgres(conn)
    sql = (
        f"SELECT c.key_id, c.sealed FROM {rows_source(postgres, credentials, _KEY)} JOIN credentials c "
        "ON c.tenant = batch.tenant AND c.session = batch.session AND c.kind = batch.kind AND c.key_id = batch.key_id"
    )
    found = conn.exec_driver_sql(sql, rows_parameters(wanted)).fetchall()
    if not found:
        return {}
    try:
        cipher = _ciphers(conn, keyring, [(tenant, session)], make=False)[tenant, session]
    except KeyError:
        raise Unsealable("the data key of the session is gone") from None
    return {
        key_id: cipher.open(bytes(sealed), place(tenant, session, kind, key_id)) for key_id, sealed in found
    }


def wipe(conn: Connection, tenant: str, session: str, epoch: int) -> int:
    """Forgets the device after a logout: every row and the data key; how many rows. Raises Fenced."""
    fence(conn, tenant, session, epoch)
    mark = "%s" if is_postgres(conn) else "?"
    # Alone on the fence: no write of the same owner may seal under the data key that goes.
    conn.exec_driver_sql(
        f"UPDATE fences SET epoch = epoch WHERE tenant = {mark} AND session = {mark}", (tenant, session)
    )
    conn.exec_driver_sql(
        f"DELETE FROM data_keys WHERE tenant = {mark} AND scope = {mark}",
        (tenant, _scope(session)),
    )
    return conn.exec_driver_sql(
        f"DELETE FROM credentials WHERE tenant = {mark} AND session = {mark}",
        (tenant, session),
    ).rowcount


def _delete(conn: Connection, keys: Sequence[tuple[str, str, str, str]]) -> None:
    if not keys:
        return
    postgres = is_postgres(conn)
    columns = ", ".join("batch." + column for column in _KEY)
    conn.exec_driver_sql(
        f"DELETE FROM credentials WHERE ({', '.join(_KEY)}) IN "
        f"(SELECT {columns} FROM {rows_source(postgres, credentials, _KEY)})",
        rows_parameters(keys),
    )


def _scope(session: str) -> str:
    return "session/" + session


def _advance(conn: Connection, epochs: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """Raises the fences to these epochs where they are lower; the fences as they stand then, locked."""
    if not epochs:
        return {}
    postgres = is_postgres(conn)
    keys = [(tenant, session) for tenant, session, _ in epochs]
    current = _fences(conn, postgres, keys)
    now = time.time_ns() // 1_000_000
    higher = [
        (tenant, session, epoch, now)
        for tenant, session, epoch in epochs
        if current.get((tenant, session), -1) < epoch
    ]
    if higher:
        insert_rows(
            conn, fences, ("tenant", "session", "epoch", "changed_at"), higher,
            "(tenant, session) DO UPDATE SET epoch = excluded.epoch, changed_at = excluded.changed_at "
            "WHERE fences.epoch < excluded.epoch",
        )  # fmt: skip
        current = _fences(conn, postgres, keys)
    return current


def _fences(conn: Connection, postgres: bool, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    sql = (
        f"SELECT f.tenant, f.session, f.epoch FROM {rows_source(postgres, fences, ('tenant', 'session'))} "
        "JOIN fences f ON f.tenant = batch.tenant AND f.session = batch.session"
        # Shared: writers of one session may overlap, but the fence cannot rise between the check and their commit.
        + (" FOR SHARE OF f" if postgres else "")
    )
    rows = conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall()
    return {(tenant, session): epoch for tenant, session, epoch in rows}


def _ciphers(
    conn: Connection, keyring: Keyring, sessions: Sequence[tuple[str, str]], *, make: bool
) -> dict[tuple[str, str], Cipher]:
    scopes = {(tenant, _scope(session)): (tenant, session) for tenant, session in sessions}
    found = ciphers(conn, keyring, list(scopes), make=make)
    return {scopes[at]: cipher for at, cipher in found.items()}
