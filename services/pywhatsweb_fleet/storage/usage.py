"""What tenants used, day by day (UTC), for quotas and for billing; counted in the transaction that does the work.

``what`` is one of `COUNTED`. A count only grows; erasing a person leaves it, for it names nobody.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import insert_rows, is_postgres, query, rows_parameters, rows_source
from pywhatsweb_fleet.storage.tables import chats, identities, reached, reached_by, usage

DAY_MS: Final = 86_400_000
WHOLE: Final = "-"
"""In place of a session: the tenant as a whole."""
COMMANDS: Final = "commands"
REFUSED: Final = "refused"
NEW_CONTACTS: Final = "new_contacts"
SESSION_NEW_CONTACTS: Final = "session_new_contacts"
"""People new to the session that writes to them, whom another of the tenant's may know."""
SENT: Final = "sent"
RECEIVED: Final = "received"
COUNTED: Final = (COMMANDS, REFUSED, NEW_CONTACTS, SESSION_NEW_CONTACTS, SENT, RECEIVED)


class Amount(NamedTuple):
    tenant: str
    day: int
    session: str
    what: str
    number: int


class Person(NamedTuple):
    """Whom a command is for: the key of the chat, and the number when it was named by one."""

    chat: str
    pn: str | None


def day_of(at_ms: int) -> int:
    return at_ms // DAY_MS


def left_of_day_ms(at_ms: int) -> int:
    """Milliseconds until the day's counts begin anew."""
    return DAY_MS - at_ms % DAY_MS


def add(conn: Connection, amounts: Iterable[Amount]) -> None:
    """Counts on. Amounts of one key are summed first: a statement may touch a row once."""
    summed: dict[tuple[str, int, str, str], int] = {}
    for amount in amounts:
        summed[amount[:4]] = summed.get(amount[:4], 0) + amount.number
    insert_rows(
        conn,
        usage,
        ("tenant", "day", "session", "what", "count"),
        [(*key, number) for key, number in sorted(summed.items()) if number],
        "(tenant, day, session, what) DO UPDATE SET count = usage.count + excluded.count",
    )


def of_day(conn: Connection, tenant: str, day: int) -> dict[tuple[str, str], int]:
    """The counts of a day, by session and what."""
    rows = query(conn, "SELECT session, what, count FROM usage WHERE tenant = ? AND day = ?", tenant, day)
    return {(row[0], row[1]): int(row[2]) for row in rows}


def totals(conn: Connection, tenant: str, first: int, last: int) -> dict[int, dict[str, int]]:
    """The tenant's counts of the days from ``first`` to ``last``, sessions together."""
    rows = query(
        conn,
        "SELECT day, what, sum(count) FROM usage WHERE tenant = ? AND day BETWEEN ? AND ? "
        "GROUP BY day, what ORDER BY day",
        tenant,
        first,
        last,
    )
    found: dict[int, dict[str, int]] = {}
    for day, what, count in rows:
        found.setdefault(int(day), {})[what] = int(count)
    return found


def strangers(
    conn: Connection, tenant: str, people: Sequence[Person], key_of_lid: Callable[[str], str]
) -> set[str]:
    """The chats, of those named, in which nothing was ever said, whichever of a person's addresses it was under."""
    if not people:
        return set()
    keys = _keys(conn, tenant, people, key_of_lid)
    known = _known(conn, tenant, sorted({key for found in keys.values() for key in found}))
    return {chat for chat, found in keys.items() if known.isdisjoint(found)}


def strangers_to(
    conn: Connection,
    tenant: str,
    pairs: Collection[tuple[str, Person]],
    key_of_lid: Callable[[str], str],
) -> set[tuple[str, str]]:
    """The same for a session each: those pairs of session and chat in which nothing was ever said."""
    if not pairs:
        return set()
    keys = _keys(conn, tenant, [person for _, person in pairs], key_of_lid)
    known = met(conn, tenant, {(session, key) for session, person in pairs for key in keys[person.chat]})
    return {
        (session, person.chat)
        for session, person in pairs
        if known.isdisjoint((session, key) for key in keys[person.chat])
    }


def met(conn: Connection, tenant: str, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those pairs of session and chat in which something was said, or is about to be."""
    found: set[tuple[str, str]] = set()
    for table in (chats, reached_by) if pairs else ():
        rows = conn.exec_driver_sql(
            f"SELECT k.session, k.chat FROM {rows_source(is_postgres(conn), table, ('tenant', 'session', 'chat'))} "
            f"JOIN {table.name} k ON k.tenant = batch.tenant AND k.session = batch.session "
            "AND k.chat = batch.chat",
            rows_parameters([(tenant, *pair) for pair in sorted(pairs)]),
        ).fetchall()
        found.update((row[0], row[1]) for row in rows)
    return found


def _keys(
    conn: Connection, tenant: str, people: Iterable[Person], key_of_lid: Callable[[str], str]
) -> Mapping[str, list[str]]:
    """All keys that each chat's person is known under."""
    people = list(people)
    lids = _lids(conn, tenant, {person.pn for person in people if person.pn is not None})
    return {
        person.chat: [person.chat, *(key_of_lid(lid) for lid in lids.get(person.pn or "", ()))]
        for person in people
    }


def _lids(conn: Connection, tenant: str, numbers: set[str]) -> dict[str, list[str]]:
    if not numbers:
        return {}
    rows = conn.exec_driver_sql(
        f"SELECT i.pn, i.lid FROM {rows_source(is_postgres(conn), identities, ('tenant', 'pn'))} "
        "JOIN identities i ON i.tenant = batch.tenant AND i.pn = batch.pn",
        rows_parameters([(tenant, number) for number in sorted(numbers)]),
    ).fetchall()
    found: dict[str, list[str]] = {}
    for number, lid in rows:
        found.setdefault(number, []).append(lid)
    return found


def _known(conn: Connection, tenant: str, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for table in (chats, reached):
        rows = conn.exec_driver_sql(
            f"SELECT k.chat FROM {rows_source(is_postgres(conn), table, ('tenant', 'chat'))} "
            f"JOIN {table.name} k ON k.tenant = batch.tenant AND k.chat = batch.chat",
            rows_parameters([(tenant, key) for key in keys]),
        ).fetchall()
        found.update(row[0] for row in rows)
    return found


def reach(conn: Connection, tenant: str, people: Iterable[str], at: int) -> int:
    """Notes that these chats were written to; how many of them for the first time."""
    rows = [(tenant, chat, at) for chat in sorted(set(people))]
    return insert_rows(conn, reached, ("tenant", "chat", "at"), rows, "(tenant, chat) DO NOTHING")


def reach_from(conn: Connection, tenant: str, pairs: Iterable[tuple[str, str]], at: int) -> Counter[str]:
    """Notes that these sessions wrote to these chats; to how many each of them did for the first time."""
    first: Counter[str] = Counter()
    for session, chat in sorted(set(pairs)):
        row = (tenant, session, chat, at)
        columns = ("tenant", "session", "chat", "at")
        first[session] += insert_rows(conn, reached_by, columns, [row], "(tenant, session, chat) DO NOTHING")
    return first


def forget_reached(conn: Connection, before: int, limit: int = 1000) -> int:
    """Drops at most ``limit`` notes that are older: what was sent is in `chats` by then. How many."""
    return _forget(conn, "reached", "tenant, chat", before, limit)


def forget_reached_by(conn: Connection, before: int, limit: int = 1000) -> int:
    """The same of the sessions' notes."""
    return _forget(conn, "reached_by", "tenant, session, chat", before, limit)


def _forget(conn: Connection, table: str, key: str, before: int, limit: int) -> int:
    mark = "%s" if is_postgres(conn) else "?"
    sql = (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE at < {mark} "
        f"ORDER BY at LIMIT {mark})"
    )
    return conn.exec_driver_sql(sql, (before, limit)).rowcount


def media_bytes(conn: Connection, tenant: str) -> int:
    """What the tenant's stored files weigh together."""
    return int(query(conn, "SELECT coalesce(sum(size), 0) FROM media WHERE tenant = ?", tenant)[0][0])
