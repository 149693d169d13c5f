"""The Kanban board's statements. What is in a card, an attendant or a policy is JSON of the Kanban service's own.

Each transaction that changes a tenant's board begins with `lock`: decisions depend on the whole team's loads, so a
tenant's are made one after the other, whichever replica makes them.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import is_postgres, query

_LOCK = 0x70770002


class CardRow(NamedTuple):
    """``due_at``: when a timer has to look at it, if ever."""

    tenant: str
    chat: str
    session: str
    version: int
    status: str
    owner: str | None
    opened_at: int
    due_at: int | None
    card: str


class LogRow(NamedTuple):
    """A transition."""

    tenant: str
    chat: str
    session: str
    version: int
    at: int
    change: str
    status: str
    previous: str | None
    owner: str | None
    actor: str
    reason: str | None
    detail: str


class OutboxRow(NamedTuple):
    """An event of a transition; ``event`` is JSON."""

    tenant: str
    at: int
    chat: str
    session: str
    version: int
    kind: str
    event: str


class ActionRow(NamedTuple):
    """What a rule does beyond the card; ``body`` is JSON: a command, or an event."""

    tenant: str
    chat: str
    session: str
    name: str
    at: int
    kind: str
    webhook: str
    body: str


class PolicyRow(NamedTuple):
    policy: str
    changed_at: int
    changed_by: str | None


class Place(NamedTuple):
    """How far a tenant's stream is on the board; ``stream`` tells one that was made anew from the one before."""

    stream: str
    sequence: int
    holder: str
    held_until: int


def _execute(conn: Connection, sql: str, *parameters: object) -> int:
    return conn.exec_driver_sql(sql.replace("?", "%s") if is_postgres(conn) else sql, parameters).rowcount


def _insert(
    conn: Connection, table: str, row: tuple[object, ...], names: Sequence[str], conflict: str
) -> int:
    marks = ", ".join("?" * len(row))
    return _execute(
        conn, f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT {conflict}", *row
    )


def lock(conn: Connection, tenant: str) -> None:
    """Nobody else changes the tenant's board until the transaction's end. SQLite has one writer anyway."""
    if is_postgres(conn):
        query(conn, "SELECT pg_advisory_xact_lock(?, hashtext(?))", _LOCK, tenant)


def try_lock(conn: Connection, tenant: str) -> bool:
    """As `lock`; False, and not locked, when somebody else is at it."""
    if not is_postgres(conn):
        return True
    return bool(query(conn, "SELECT pg_try_advisory_xact_lock(?, hashtext(?))", _LOCK, tenant)[0][0])


_CARD = ", ".join(CardRow._fields)


def card(conn: Connection, tenant: str, chat: str, session: str) -> CardRow | None:
    sql = f"SELECT {_CARD} FROM kanban_cards WHERE tenant = ? AND chat = ? AND session = ?"
    rows = query(conn, sql, tenant, chat, session)
    return CardRow(*rows[0]) if rows else None


def cards_of(conn: Connection, tenant: str, chat: str) -> list[CardRow]:
    """The cards of a chat's key, in each session that has it."""
    rows = query(conn, f"SELECT {_CARD} FROM kanban_cards WHERE tenant = ? AND chat = ?", tenant, chat)
    return [CardRow(*row) for row in rows]


def save(conn: Connection, row: CardRow, before: int | None) -> bool:
    """Writes a card whose version was ``before`` (None: there was none); False when it was another."""
    if before is None:
        return _insert(conn, "kanban_cards", row, CardRow._fields, "DO NOTHING") == 1
    names = CardRow._fields[3:]
    sql = f"UPDATE kanban_cards SET {', '.join(f'{name} = ?' for name in names)} "
    sql += "WHERE tenant = ? AND chat = ? AND session = ? AND version = ?"
    return _execute(conn, sql, *row[3:], *row[:3], before) == 1


def append_log(conn: Connection, row: LogRow) -> None:
    _insert(conn, "kanban_log", row, LogRow._fields, "DO NOTHING")


def history(
    conn: Connection, tenant: str, chat: str, session: str, *, below: int | None, limit: int
) -> list[LogRow]:
    """Transitions, newest first."""
    sql = f"SELECT {', '.join(LogRow._fields)} FROM kanban_log WHERE tenant = ? AND chat = ? AND session = ?"
    sql += " AND version < ? ORDER BY version DESC LIMIT ?"
    rows = query(conn, sql, tenant, chat, session, 2**62 if below is None else below, limit)
    return [LogRow(*row) for row in rows]


# The outbox.


def put_out(conn: Connection, row: OutboxRow) -> None:
    _insert(conn, "kanban_outbox", row, OutboxRow._fields, "DO NOTHING")


def waiting(conn: Connection, tenant: str, limit: int) -> list[OutboxRow]:
    """What is to be published, each chat's in order."""
    sql = f"SELECT {', '.join(OutboxRow._fields)} FROM kanban_outbox WHERE tenant = ? "
    rows = query(conn, sql + "ORDER BY chat, session, version, kind LIMIT ?", tenant, limit)
    return [OutboxRow(*row) for row in rows]


def published(conn: Connection, rows: Iterable[OutboxRow]) -> None:
    for row in rows:
        _execute(
            conn,
            "DELETE FROM kanban_outbox WHERE tenant = ? AND chat = ? AND session = ? AND version = ? AND kind = ?",
            row.tenant, row.chat, row.session, row.version, row.kind,
        )  # fmt: skip


def put_action(conn: Connection, row: ActionRow) -> None:
    _insert(conn, "kanban_actions", row, ActionRow._fields, "DO NOTHING")


def actions_waiting(conn: Connection, tenant: str, limit: int) -> list[ActionRow]:
    """What rules do and is to be published, in the order of its time."""
    sql = f"SELECT {', '.join(ActionRow._fields)} FROM kanban_actions WHERE tenant = ? "
    return [ActionRow(*row) for row in query(conn, sql + "ORDER BY at, chat, name LIMIT ?", tenant, limit)]


def actions_published(conn: Connection, rows: Iterable[ActionRow]) -> None:
    for row in rows:
        sql = "DELETE FROM kanban_actions WHERE tenant = ? AND chat = ? AND session = ? AND name = ?"
        _execute(conn, sql, *row[:4])


# Timers.


def tenants_due(conn: Connection, now: int) -> list[str]:
    sql = "SELECT DISTINCT tenant FROM kanban_cards WHERE due_at IS NOT NULL AND due_at <= ?"
    return [row[0] for row in query(conn, sql, now)]


def cards_due(conn: Connection, tenant: str, now: int, limit: int) -> list[CardRow]:
    sql = f"SELECT {_CARD} FROM kanban_cards WHERE due_at IS NOT NULL AND due_at <= ? AND tenant = ? "
    return [CardRow(*row) for row in query(conn, sql + "ORDER BY due_at LIMIT ?", now, tenant, limit)]


def look_at_open(conn: Connection, tenant: str, now: int) -> None:
    """Makes every open card due: the policy has changed."""
    sql = "UPDATE kanban_cards SET due_at = ? WHERE tenant = ? AND status IN ('new', 'active')"
    _execute(conn, sql, now, tenant)


def look_at_joined(conn: Connection, tenant: str, now: int) -> None:
    """Makes every card due that joining the cards of an inbox's sessions, or no longer doing so, may concern."""
    sql = (
        "UPDATE kanban_cards SET due_at = ? WHERE tenant = ? AND (card LIKE '%\"inbox\":%' OR EXISTS "
        "(SELECT 1 FROM kanban_cards o WHERE o.tenant = kanban_cards.tenant AND o.chat = kanban_cards.chat "
        "AND o.session <> kanban_cards.session))"
    )
    _execute(conn, sql.replace("%", "%%") if is_postgres(conn) else sql, now, tenant)


def look_at_owned(conn: Connection, tenant: str, owner: str, now: int) -> None:
    """Makes an attendant's open cards due."""
    sql = "UPDATE kanban_cards SET due_at = ? WHERE tenant = ? AND status IN ('new', 'active') AND owner = ?"
    _execute(conn, sql, now, tenant, owner)


def look_at_queue(conn: Connection, tenant: str, now: int, limit: int) -> None:
    """Makes the chats that wait longest for somebody due."""
    sql = "SELECT chat, session FROM kanban_cards WHERE tenant = ? AND status = 'new' AND owner IS NULL "
    for chat, session in query(conn, sql + "ORDER BY opened_at LIMIT ?", tenant, limit):
        _execute(
            conn,
            "UPDATE kanban_cards SET due_at = ? WHERE tenant = ? AND chat = ? AND session = ?",
            now, tenant, chat, session,
        )  # fmt: skip


# Attendants, policies, places.


def attendants(conn: Connection, tenant: str) -> list[tuple[str, str]]:
    """Each one's name and JSON."""
    sql = "SELECT attendant, data FROM kanban_attendants WHERE tenant = ? ORDER BY attendant"
    return [(row[0], row[1]) for row in query(conn, sql, tenant)]


def save_attendant(conn: Connection, tenant: str, attendant: str, data: str) -> None:
    names = ("tenant", "attendant", "data")
    _insert(
        conn, "kanban_attendants", (tenant, attendant, data), names,
        "(tenant, attendant) DO UPDATE SET data = excluded.data",
    )  # fmt: skip


def loads(conn: Connection, tenant: str) -> dict[str, int]:
    """Open chats by owner."""
    sql = "SELECT owner, count(*) FROM kanban_cards WHERE tenant = ? AND status IN ('new', 'active') "
    return {row[0]: row[1] for row in query(conn, sql + "AND owner IS NOT NULL GROUP BY owner", tenant)}


def policy(conn: Connection, tenant: str) -> PolicyRow | None:
    rows = query(conn, "SELECT policy, changed_at, changed_by FROM kanban_policies WHERE tenant = ?", tenant)
    return PolicyRow(*rows[0]) if rows else None


def save_policy(conn: Connection, tenant: str, row: PolicyRow) -> None:
    _insert(
        conn, "kanban_policies", (tenant, *row), ("tenant", *PolicyRow._fields),
        "(tenant) DO UPDATE SET policy = excluded.policy, changed_at = excluded.changed_at, "
        "changed_by = excluded.changed_by",
    )  # fmt: skip


def place(conn: Connection, tenant: str) -> Place | None:
    rows = query(conn, f"SELECT {', '.join(Place._fields)} FROM kanban_places WHERE tenant = ?", tenant)
    return Place(*rows[0]) if rows else None


def save_place(conn: Connection, tenant: str, row: Place) -> None:
    _insert(
        conn, "kanban_places", (tenant, *row), ("tenant", *Place._fields),
        "(tenant) DO UPDATE SET stream = excluded.stream, sequence = excluded.sequence, "
        "holder = excluded.holder, held_until = excluded.held_until",
    )  # fmt: skip


def tenants_waiting(conn: Connection) -> list[str]:
    """Those with something to be published."""
    sql = "SELECT tenant FROM kanban_outbox UNION SELECT tenant FROM kanban_actions"
    return [row[0] for row in query(conn, sql)]


def erase(conn: Connection, tenant: str, chat: str) -> int:
    """Forgets a chat's cards with their notes and history; how many cards there were."""
    for table in ("kanban_outbox", "kanban_actions", "kanban_log"):
        _execute(conn, f"DELETE FROM {table} WHERE tenant = ? AND chat = ?", tenant, chat)
    return _execute(conn, "DELETE FROM kanban_cards WHERE tenant = ? AND chat = ?", tenant, chat)
