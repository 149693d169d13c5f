"""What became of each command: claimed once, remembered for longer than JetStream's dedupe window.

The key is (tenant, session, command id). A command that is delivered again has the sequence it had in the commands
stream; another sequence under the same key is a repeat by its publisher, who gets the first one's outcome.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts.statuses import MessageStatus, may_follow
from pywhatsweb_fleet.storage.statements import is_postgres, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import idempotency

_BELOW: Final = {
    status: 1 + max((p.rank for p in MessageStatus if may_follow(p, status)), default=-1)
    for status in MessageStatus
}
"""`may_follow` as SQL can say it: a status replaces one whose rank is below this."""

_KEY = ("tenant", "session", "command_id")
_COLUMNS = (*_KEY, "digest", "command_seq", "status", "rank", "error", "message_id", "claimed_at", "changed_at",
            "expires_at")  # fmt: skip


class Claim(msgspec.Struct, frozen=True):
    """The wish to be the one command of its id. Times in milliseconds since 1970."""

    tenant: str
    session: str
    command_id: str
    digest: str
    """Of the body: tells a repeat from another command under the same id."""
    command_seq: int
    """Sequence in the commands stream."""
    at: int
    expires: int
    message_id: str | None = None
    """The WhatsApp id that it will be sent under, when that is known beforehand."""


class Claimed(msgspec.Struct, frozen=True):
    """The command is this one. ``redelivered``: it was claimed before, and ``status`` is how far it came."""

    redelivered: bool = False
    status: str = "accepted"
    error: str | None = None
    message_id: str | None = None


class Repeat(msgspec.Struct, frozen=True):
    """Another command has the id: what became of it, and whether its body was the same."""

    command_seq: int
    status: str
    error: str | None
    message_id: str | None
    same_body: bool


class Record(msgspec.Struct, frozen=True):
    """What is known of a command."""

    tenant: str
    session: str
    command_id: str
    command_seq: int
    status: str
    error: str | None
    message_id: str | None
    claimed_at: int
    changed_at: int


class Outcome(msgspec.Struct, frozen=True):
    """A step on a command's way."""

    tenant: str
    session: str
    command_id: str
    status: MessageStatus
    at: int
    error: str | None = None
    message_id: str | None = None


def claim(conn: Connection, claims: Sequence[Claim]) -> list[Claimed | Repeat]:
    """The verdict on each claim, in their order. Of several with one key, the first counts.

    New ones are inserted by one statement; an expired record counts as none. So does that of an earlier command which
    was rejected: nothing was sent, and its publisher may try again under the same id (after E_QUEUE_FULL, say).
    """
    first: dict[tuple[str, str, str], Claim] = {}
    for wish in claims:
        first.setdefault((wish.tenant, wish.session, wish.command_id), wish)
    # In one order everywhere: two dispatchers that claim the same keys then wait for, rather than on, each other.
    keys = sorted(first)
    new = _insert(conn, [first[key] for key in keys])
    known = _find(conn, [key for key in keys if key not in new])
    verdicts: list[Claimed | Repeat] = []
    for wish in claims:
        key = (wish.tenant, wish.session, wish.command_id)
        if (original := first[key]) is wish and key in new:
            verdicts.append(Claimed(message_id=wish.message_id))
        elif key in new:
            verdicts.append(
                _verdict(wish, original.command_seq, original.digest, _UNTOUCHED, original.message_id)
            )
        else:
            record, digest = known[key]
            state = (record.status, record.error)
            verdicts.append(_verdict(wish, record.command_seq, digest, state, record.message_id))
    return verdicts


_UNTOUCHED = (MessageStatus.ACCEPTED.value, None)


def _verdict(
    wish: Claim, seq: int, digest: str, state: tuple[str, str | None], message_id: str | None
) -> Claimed | Repeat:
    """On a claim whose key is taken: the same command once more, or another."""
    if wish.command_seq == seq:
        return Claimed(True, *state, message_id)
    return Repeat(seq, *state, message_id, wish.digest == digest)


def _insert(conn: Connection, claims: Sequence[Claim]) -> set[tuple[str, str, str]]:
    if not claims:
        return set()
    postgres = is_postgres(conn)
    names = ", ".join(_COLUMNS)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _KEY)
    sql = (
        f"INSERT INTO idempotency ({names}) SELECT {names} FROM {rows_source(postgres, idempotency, _COLUMNS)} "
        f"WHERE true ON CONFLICT (tenant, session, command_id) DO UPDATE SET {replaced} "
        "WHERE idempotency.expires_at <= excluded.claimed_at OR (idempotency.status = 'rejected' "
        "AND idempotency.command_seq < excluded.command_seq) RETURNING tenant, session, command_id"
    )
    status, rank = MessageStatus.ACCEPTED.value, MessageStatus.ACCEPTED.rank
    rows = [
        (c.tenant, c.session, c.command_id, c.digest, c.command_seq, status, rank, None, c.message_id, c.at, c.at,
         c.expires)
        for c in claims
    ]  # fmt: skip
    return {tuple(row) for row in conn.exec_driver_sql(sql, rows_parameters(rows)).fetchall()}


def _find(
    conn: Connection, keys: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], tuple[Record, str]]:
    if not keys:
        return {}
    postgres = is_postgres(conn)
    sql = (
        "SELECT i.tenant, i.session, i.command_id, i.command_seq, i.status, i.error, i.message_id, i.claimed_at, "
        f"i.changed_at, i.digest FROM {rows_source(postgres, idempotency, _KEY)} JOIN idempotency i "
        "ON i.tenant = batch.tenant AND i.session = batch.session AND i.command_id = batch.command_id"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters(keys)).fetchall()
    return {(row[0], row[1], row[2]): (Record(*row[:9]), row[9]) for row in rows}


def outcome(conn: Connection, outcomes: Sequence[Outcome]) -> list[bool]:
    """Notes each step, in their order; whether it was news.

    False: the command is unknown here, or the step may not follow what is known (`may_follow`). Usable as the function
    of `GroupCommit.submit_to`.
    """
    news = [False] * len(outcomes)
    todo = list(enumerate(outcomes))
    while todo:
        # One statement takes one step a command; a command's further steps in the batch wait for the next round.
        now: dict[tuple[str, str, str], tuple[int, Outcome]] = {}
        later: list[tuple[int, Outcome]] = []
        for place, step in todo:
            key = (step.tenant, step.session, step.command_id)
            if key in now:
                later.append((place, step))
            else:
                now[key] = (place, step)
        for key in _advance(conn, [now[key][1] for key in sorted(now)]):
            news[now[key][0]] = True
        todo = later
    return news


_OUTCOME = ("tenant", "session", "command_id", "status", "rank", "error", "message_id", "changed_at", "below")


def _advance(conn: Connection, outcomes: Sequence[Outcome]) -> set[tuple[str, str, str]]:
    if not outcomes:
        return set()
    postgres = is_postgres(conn)
    sql = (
        "UPDATE idempotency SET status = batch.status, rank = batch.rank, error = batch.error, "
        "changed_at = batch.changed_at, message_id = coalesce(batch.message_id, idempotency.message_id) "
        f"FROM {rows_source(postgres, idempotency, _OUTCOME)} WHERE idempotency.tenant = batch.tenant "
        "AND idempotency.session = batch.session AND idempotency.command_id = batch.command_id "
        "AND idempotency.rank < batch.below "
        "RETURNING idempotency.tenant, idempotency.session, idempotency.command_id"
    )
    rows = [
        (o.tenant, o.session, o.command_id, o.status.value, o.status.rank, o.error, o.message_id, o.at,
         _BELOW[o.status])
        for o in outcomes
    ]  # fmt: skip
    return {tuple(row) for row in conn.exec_driver_sql(sql, rows_parameters(rows)).fetchall()}


_RECORD = "tenant, session, command_id, command_seq, status, error, message_id, claimed_at, changed_at"


def lookup(conn: Connection, tenant: str, command_id: str, session: str | None = None) -> Record | None:
    """What is known of a command; when several sessions used the id, the latest of them."""
    mark = "%s" if is_postgres(conn) else "?"
    sql = f"SELECT {_RECORD} FROM idempotency WHERE tenant = {mark} AND command_id = {mark}"
    parameters: tuple[str, ...] = (tenant, command_id)
    if session is not None:
        sql += f" AND session = {mark}"
        parameters += (session,)
    row = conn.exec_driver_sql(sql + " ORDER BY claimed_at DESC LIMIT 1", parameters).fetchone()
    return None if row is None else Record(*row)


def by_message(conn: Connection, tenant: str, message_ids: Sequence[str]) -> dict[str, Record]:
    """The commands that were sent under these WhatsApp message ids."""
    if not message_ids:
        return {}
    postgres = is_postgres(conn)
    columns = ", ".join("i." + name for name in _RECORD.split(", "))
    sql = (
        f"SELECT {columns} FROM {rows_source(postgres, idempotency, ('tenant', 'message_id'))} "
        "JOIN idempotency i ON i.tenant = batch.tenant AND i.message_id = batch.message_id "
        "WHERE i.message_id IS NOT NULL"
    )
    rows = conn.exec_driver_sql(sql, rows_parameters([(tenant, m) for m in message_ids])).fetchall()
    return {row[6]: Record(*row) for row in rows}


def expire(conn: Connection, before: int, limit: int = 1000) -> int:
    """Forgets at most ``limit`` records that expired before the time; how many (less than ``limit``: all of them)."""
    mark = "%s" if is_postgres(conn) else "?"
    skip = " FOR UPDATE SKIP LOCKED" if is_postgres(conn) else ""
    sql = (
        "DELETE FROM idempotency WHERE (tenant, session, command_id) IN (SELECT tenant, session, command_id "
        f"FROM idempotency WHERE expires_at < {mark} ORDER BY expires_at LIMIT {mark}{skip})"
    )
    return conn.exec_driver_sql(sql, (before, limit)).rowcount
