"""The webhooks' statements.

A replica of the service *holds* a webhook and posts for it; it says so again every few seconds. Whatever it writes of a
webhook's progress is conditional on still being the holder, so one that was frozen changes nothing afterwards.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage import data_keys
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, place
from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query
from pywhatsweb_fleet.storage.webhook_tables import webhook_log, webhooks


class Webhook(NamedTuple):
    tenant: str
    webhook: str
    version: int
    config: str
    sealed: bytes
    disabled: str | None
    created_at: int
    stream: str
    floor: int
    failures: int
    holder: str
    held_until: int


class Parked(NamedTuple):
    tenant: str
    webhook: str
    sequence: int
    session: str
    chat: str
    kind: str
    event_id: str
    first_at: int
    last_at: int
    attempts: int
    due_at: int
    answer: int | None
    error: str | None
    dead: bool
    body: bytes | None


class Tried(NamedTuple):
    """A line of the log."""

    tenant: str
    webhook: str
    number: int
    session: str
    kind: str
    event_id: str
    at: int
    attempt: int
    ok: bool
    answer: int | None
    error: str | None
    took_ms: int
    excerpt: str | None


class Progress(NamedTuple):
    """What a holder has to write at once: the place, what is put aside or anew, what is done with, and the tries."""

    stream: str
    floor: int
    failures: int
    parked: Sequence[Parked]
    settled: Sequence[int]
    """Sequences whose rows go."""
    tries: Sequence[Tried]
    disabled: str | None


_WEBHOOK = ", ".join(Webhook._fields)
_PARKED = ", ".join(Parked._fields)
_TRIED = ", ".join(Tried._fields)
_ONE = "tenant = ? AND webhook = ?"


def _run(conn: Connection, sql: str, *parameters: object) -> int:
    return conn.exec_driver_sql(sql.replace("?", "%s") if is_postgres(conn) else sql, parameters).rowcount


def _webhooks(conn: Connection, where: str, *parameters: object) -> list[Webhook]:
    rows = query(conn, f"SELECT {_WEBHOOK} FROM webhooks WHERE {where}", *parameters)
    return [Webhook(*row)._replace(sealed=bytes(row[4])) for row in rows]


def find(conn: Connection, tenant: str, webhook: str) -> Webhook | None:
    found = _webhooks(conn, _ONE, tenant, webhook)
    return found[0] if found else None


def of_tenant(conn: Connection, tenant: str) -> list[Webhook]:
    return _webhooks(conn, "tenant = ? ORDER BY webhook", tenant)


def save(conn: Connection, row: Webhook) -> None:
    """Creates a webhook, or changes what a user can change of one: not its place."""
    insert_rows(
        conn, webhooks, Webhook._fields, [row],
        "(tenant, webhook) DO UPDATE SET version = webhooks.version + 1, config = excluded.config, "
        "sealed = excluded.sealed, disabled = excluded.disabled, failures = 0",
    )  # fmt: skip


def move(conn: Connection, tenant: str, webhook: str, stream: str, floor: int) -> None:
    """Sets a webhook's place, whoever holds it: nobody does then. What waits for a later try is forgotten."""
    _run(conn, f"DELETE FROM webhook_parked WHERE {_ONE} AND dead = ?", tenant, webhook, False)
    _run(
        conn,
        f"UPDATE webhooks SET stream = ?, floor = ?, version = version + 1, holder = '' WHERE {_ONE}",
        stream, floor, tenant, webhook,
    )  # fmt: skip


def delete(conn: Connection, tenant: str, webhook: str) -> bool:
    for table in ("webhook_log", "webhook_parked"):
        _run(conn, f"DELETE FROM {table} WHERE {_ONE}", tenant, webhook)
    return _run(conn, f"DELETE FROM webhooks WHERE {_ONE}", tenant, webhook) == 1


def counts(conn: Connection, tenant: str) -> dict[tuple[str, bool], int]:
    """Rows put aside by webhook and whether they are dead."""
    sql = "SELECT webhook, dead, count(*) FROM webhook_parked WHERE tenant = ? GROUP BY webhook, dead"
    return {(row[0], bool(row[1])): row[2] for row in query(conn, sql, tenant)}


# Holding.


def hold(conn: Connection, holder: str, now: int, until: int, at_most: int) -> list[Webhook]:
    """Says again that ``holder`` holds what it does, takes at most so many that nobody holds; all that it holds now."""
    _run(
        conn,
        "UPDATE webhooks SET held_until = ? WHERE holder = ? AND disabled IS NULL AND held_until >= ?",
        until, holder, now,
    )  # fmt: skip
    free = "disabled IS NULL AND (holder = '' OR held_until < ?)"
    locking = " FOR UPDATE SKIP LOCKED" if is_postgres(conn) else ""
    sql = f"SELECT tenant, webhook FROM webhooks WHERE {free} LIMIT ?{locking}"
    for tenant, webhook in query(conn, sql, now, at_most):
        _run(
            conn,
            f"UPDATE webhooks SET holder = ?, held_until = ? WHERE {_ONE}",
            holder,
            until,
            tenant,
            webhook,
        )
    return _webhooks(conn, "holder = ? AND disabled IS NULL AND held_until >= ?", holder, now)


def release(conn: Connection, holder: str) -> None:
    """Everything that ``holder`` holds, for another to take at once."""
    _run(conn, "UPDATE webhooks SET holder = '', held_until = 0 WHERE holder = ?", holder)


def record(conn: Connection, tenant: str, webhook: str, holder: str, progress: Progress, keep: int) -> bool:  # noqa: PLR0917 - called through Store.transact, by position
    """Writes a holder's progress in one transaction, and keeps the log to ``keep`` lines.

    False, and nothing is written, when another one holds it, or a user has moved it meanwhile.
    """
    sql = "UPDATE webhooks SET floor = ?, failures = ?, disabled = coalesce(disabled, ?) "
    sql += f"WHERE {_ONE} AND holder = ? AND stream = ?"
    held = _run(
        conn,
        sql,
        progress.floor,
        progress.failures,
        progress.disabled,
        tenant,
        webhook,
        holder,
        progress.stream,
    )
    if held != 1:
        return False
    # One by one: a parked row may carry a body, which JSON parameters cannot.
    for row in progress.parked:
        marks = ", ".join("?" * len(row))
        _run(
            conn,
            f"INSERT INTO webhook_parked ({_PARKED}) VALUES ({marks}) ON CONFLICT (tenant, webhook, sequence) "
            "DO UPDATE SET last_at = excluded.last_at, attempts = excluded.attempts, due_at = excluded.due_at, "
            "answer = excluded.answer, error = excluded.error, dead = excluded.dead, "
            "body = coalesce(excluded.body, webhook_parked.body)",
            *row,
        )
    for sequence in progress.settled:
        _run(conn, f"DELETE FROM webhook_parked WHERE {_ONE} AND sequence = ?", tenant, webhook, sequence)
    if progress.tries:
        insert_rows(conn, webhook_log, Tried._fields, list(progress.tries), "DO NOTHING")
        _run(
            conn,
            f"DELETE FROM webhook_log WHERE {_ONE} AND number < (SELECT min(number) FROM (SELECT number FROM "
            f"webhook_log WHERE {_ONE} ORDER BY number DESC LIMIT ?) AS kept)",
            tenant, webhook, tenant, webhook, keep,
        )  # fmt: skip
    return True


# What was put aside.


def parked(conn: Connection, tenant: str, webhook: str) -> list[Parked]:
    """What a later try waits for, in the stream's order, without bodies."""
    sql = f"SELECT {_PARKED.replace('body', 'NULL')} FROM webhook_parked WHERE {_ONE} AND dead = ? ORDER BY sequence"
    return [Parked(*row) for row in query(conn, sql, tenant, webhook, False)]


def body(conn: Connection, tenant: str, webhook: str, sequence: int) -> bytes | None:
    rows = query(
        conn, f"SELECT body FROM webhook_parked WHERE {_ONE} AND sequence = ?", tenant, webhook, sequence
    )
    return None if not rows or rows[0][0] is None else bytes(rows[0][0])


def dead(conn: Connection, tenant: str, webhook: str, below: int, limit: int) -> list[Parked]:
    """Those that were given up, newest first, without bodies."""
    sql = f"SELECT {_PARKED.replace('body', 'NULL')} FROM webhook_parked WHERE {_ONE} AND dead = ? AND sequence < ?"
    rows = query(conn, sql + " ORDER BY sequence DESC LIMIT ?", tenant, webhook, True, below, limit)
    return [Parked(*row) for row in rows]


def redrive(conn: Connection, tenant: str, webhook: str, event_id: str | None, now: int) -> int:
    """Makes one dead event, or all of the webhook, wait for a try at once; how many."""
    sql = f"UPDATE webhook_parked SET dead = ?, attempts = 0, first_at = ?, due_at = ? WHERE {_ONE} AND dead = ?"
    parameters: list[object] = [False, now, now, tenant, webhook, True]
    if event_id is not None:
        sql += " AND event_id = ?"
        parameters.append(event_id)
    count = _run(conn, sql, *parameters)
    if count:
        _run(conn, f"UPDATE webhooks SET version = version + 1 WHERE {_ONE}", tenant, webhook)
    return count


def forget_dead(conn: Connection, before: int, limit: int) -> int:
    """Drops at most ``limit`` events that were given up before then (milliseconds since 1970); how many."""
    sql = "SELECT tenant, webhook, sequence FROM webhook_parked WHERE dead = ? AND last_at < ? LIMIT ?"
    rows = query(conn, sql, True, before, limit)
    for row in rows:
        _run(conn, f"DELETE FROM webhook_parked WHERE {_ONE} AND sequence = ?", *row)
    return len(rows)


def log(conn: Connection, tenant: str, webhook: str, *, below: int, failed: bool, limit: int) -> list[Tried]:
    """Tries, newest first."""
    only, values = (" AND ok = ?", (False,)) if failed else ("", ())
    sql = f"SELECT {_TRIED} FROM webhook_log WHERE {_ONE} AND number < ?{only} ORDER BY number DESC LIMIT ?"
    rows = query(conn, sql, tenant, webhook, below, *values, limit)
    return [Tried(*row)._replace(ok=bool(row[8])) for row in rows]


def erase(conn: Connection, tenant: str, chat: str) -> int:
    """Forgets what waits or was given up of a chat; how many events there were."""
    return _run(conn, "DELETE FROM webhook_parked WHERE tenant = ? AND chat = ?", tenant, chat)


def erase_tenant(conn: Connection, tenant: str) -> None:
    for table in ("webhook_log", "webhook_parked", "webhooks"):
        _run(conn, f"DELETE FROM {table} WHERE tenant = ?", tenant)


# Secrets.


def seal(conn: Connection, keyring: Keyring, tenant: str, webhook: str, secret: bytes) -> bytes:
    """Under the tenant's data key for webhooks, which is made when there is none."""
    return _cipher(conn, keyring, tenant).seal(secret, place(tenant, data_keys.WEBHOOKS, webhook))


def unseal(conn: Connection, keyring: Keyring, row: Webhook) -> bytes:
    """Raises Unsealable."""
    where = place(row.tenant, data_keys.WEBHOOKS, row.webhook)
    return _cipher(conn, keyring, row.tenant).open(row.sealed, where)


def _cipher(conn: Connection, keyring: Keyring, tenant: str) -> Cipher:
    scope = (tenant, data_keys.WEBHOOKS)
    return data_keys.ciphers(conn, keyring, [scope], make=True)[scope]
