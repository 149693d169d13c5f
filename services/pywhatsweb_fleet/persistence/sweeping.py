"""A person out of the database: every table of the metadata is read through, row by row, and judged.

A row of the person's own goes; in somebody else's the person is taken out of the text. What a table needs beyond that
stands in `_RULES`; a table that is kept stands in `KEPT` with the reason, which the receipt tells. A new table needs
neither: the usual judgement covers it.

Every step is a transaction that may run again: a sweep that was killed begins anew and ends the same.
"""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, LargeBinary, Table

from pywhatsweb_fleet.persistence.person import Person
from pywhatsweb_fleet.persistence.redacting import without
from pywhatsweb_fleet.storage import media
from pywhatsweb_fleet.storage.people import address
from pywhatsweb_fleet.storage.schema import metadata
from pywhatsweb_fleet.storage.statements import is_postgres, query, rows_parameters, rows_source
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.tables import idempotency, statuses

_AT_ONCE: Final = 1000
_DIGITS = re.compile(r"\d+")

KEPT: Final = {
    "audit": "who did what, without names: the law asks for the trail, and it may not change",
    "audit_bases": "where the trail begins",
    "erasures": "receipts of erasures, which name a digest",
    "erasure_jobs": "this work itself; it goes with the receipt",
    "exports": "removed one by one, with their files",
    "sessions": "the tenant's own accounts",
    "data_keys": "keys",
    "fences": "counters",
    "tenants": "the tenant's own settings",
    "retention": "the tenant's own settings",
    "usage": "counts",
    "optouts": "that somebody is not to be written to: a digest that names nobody, so that it is heeded still",
    "optout_words": "the tenant's own settings",
    "inboxes": "the tenant's own settings",
}
"""Tables that no sweep touches, and why."""
SHOWN: Final = frozenset(("optouts",))
"""Those of them whose rows are people's all the same: a person's export has them."""


class Row(NamedTuple):
    table: Table
    values: dict[str, Any]


class Keep(Enum):
    """What becomes of a row, where it is not changed."""

    AS_IT_IS = 1
    NOT = 2


Verdict = Keep | dict[str, Any]
"""A dictionary: its new values."""


def every_table() -> list[Table]:
    """Those with rows of tenants, by name."""
    found = [table for table in metadata.sorted_tables if "tenant" in table.c]
    return sorted(found, key=lambda table: table.name)


def tables() -> list[Table]:
    """Those that a sweep reads."""
    return [table for table in every_table() if table.name not in KEPT]


def judge(person: Person, row: Row) -> Verdict:
    if _own(person, row):
        return Keep.NOT
    changed: dict[str, Any] = {}
    for column in row.table.columns:
        value = row.values[column.name]
        if isinstance(value, str):
            rest = without(person, value)
            if rest != value:
                if column.primary_key:
                    return Keep.NOT
                changed[column.name] = rest
        elif isinstance(value, bytes) and person.held_by(value):
            return Keep.NOT
    return changed or Keep.AS_IT_IS


def _own(person: Person, row: Row) -> bool:
    rule = _RULES.get(row.table.name)
    if rule is not None and rule(person, row.values):
        return True
    return row.table.name not in _HELD and row.values.get("chat") in person.keys


def _addressed(person: Person, values: dict[str, Any]) -> bool:
    return values["pn"] in person.pns or values["lid"] in person.lids


def _said(person: Person, values: dict[str, Any]) -> bool:
    return values["sender_pn"] in person.pns or values["sender_lid"] in person.lids


def _reported(person: Person, values: dict[str, Any]) -> bool:
    return values["person"] in {address(pn, None) for pn in person.pns} | {
        address(None, lid) for lid in person.lids
    }


def _key(person: Person, values: dict[str, Any]) -> bool:
    """Signal's keys are named by addresses: ``5511….0``, ``123_1.0``, ``group::5511….0``.

    To whom a status went (ADR 0024) is sealed, so it goes whoever is erased.
    """
    if values["kind"] == "audience":
        return True
    names = {name.lstrip("+") for name in person.addresses}
    return not names.isdisjoint(_DIGITS.findall(values["key_id"]))


def _reasoned(person: Person, values: dict[str, Any]) -> bool:
    return person.named_in(values["reason"])


_RULES: Final[dict[str, Callable[[Person, dict[str, Any]], bool]]] = {
    "messages": _said,
    "statuses": _reported,
    "contacts": _addressed,
    "identities": _addressed,
    "chats": _addressed,
    "credentials": _key,
    "audit_words": _reasoned,
}


_HELD: Final = frozenset(("media_refs", "media_fetches"))
"""Dropped by `media.drop`, which sees to the objects too."""


class Found(NamedTuple):
    """Rows that concern the person, with the verdict on each."""

    gone: list[dict[str, Any]]
    changed: list[tuple[dict[str, Any], dict[str, Any]]]
    last: tuple[Any, ...] | None
    """The key to go on after; None at the end."""


def look(conn: Connection, table: Table, tenant: str, person: Person, after: tuple[Any, ...] | None) -> Found:
    """Judges the next rows of a table."""
    key = [column.name for column in table.primary_key if column.name != "tenant"]
    # What is sealed names nobody, and is not for every service to read.
    columns = [c.name for c in table.columns if not (isinstance(c.type, LargeBinary) and c.name != "body")]
    names = ", ".join(key)
    where = "" if after is None else f" AND ({names}) > ({', '.join('?' * len(key))})"
    order = f" ORDER BY {names}" if key else ""
    sql = f"SELECT {', '.join(columns)} FROM {table.name} WHERE tenant = ?{where}{order} LIMIT ?"
    rows = query(conn, sql, tenant, *(after or ()), _AT_ONCE)
    gone, changed = [], []
    values: dict[str, Any] = {}
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        verdict = judge(person, Row(table, {**dict.fromkeys(table.c.keys()), **values}))
        if verdict is Keep.NOT:
            gone.append(values)
        elif isinstance(verdict, dict):
            changed.append((values, verdict))
    more = len(rows) == _AT_ONCE and key
    return Found(gone, changed, tuple(values[name] for name in key) if more else None)


def apply(conn: Connection, table: Table, found: Found) -> Counter[str]:
    """Does what was judged; how many rows of which table went (``messages``) or were changed (``messages:changed``)."""
    counts: Counter[str] = Counter()
    securely(conn)
    if table.name == "messages":
        counts += follow_messages(conn, found.gone)
    for values in found.gone:
        counts[table.name] += _delete(conn, table, values)
    for values, verdict in found.changed:
        counts[f"{table.name}:changed"] += _update(conn, table, values, verdict)
    return +counts


def securely(conn: Connection) -> None:
    """SQLite overwrites with zeros what this connection deletes from now on."""
    if not is_postgres(conn):
        conn.exec_driver_sql("PRAGMA secure_delete = ON")


def follow_messages(conn: Connection, gone: Sequence[dict[str, Any]]) -> Counter[str]:
    """What tells of messages, but is found by their ids alone."""
    tenants = {values["tenant"] for values in gone}
    counts: Counter[str] = Counter()
    for tenant in tenants:
        messages = {values["message_id"] for values in gone if values["message_id"]}
        commands = {values["command_id"] for values in gone if values["command_id"]}
        counts += follow(conn, tenant, messages, commands)
        held = sorted({(values["session"], values["message_id"]) for values in gone if values["message_id"]})
        counts["media"] += media.drop(conn, tenant, messages=held).references
    return counts


def follow(conn: Connection, tenant: str, messages: Iterable[str], commands: Iterable[str]) -> Counter[str]:
    """Statuses and idempotency records of messages and commands that go."""
    counts: Counter[str] = Counter()
    for table, column, ids in (
        (statuses, "message_id", messages),
        (statuses, "command_id", commands),
        (idempotency, "message_id", messages),
        (idempotency, "command_id", commands),
    ):
        keys = [(tenant, one) for one in sorted(set(ids))]
        if keys:
            source = rows_source(is_postgres(conn), table, ("tenant", column))
            sql = f"DELETE FROM {table.name} WHERE (tenant, {column}) IN (SELECT tenant, {column} FROM {source})"
            counts[table.name] += conn.exec_driver_sql(sql, rows_parameters(keys)).rowcount
    return +counts


def _where(conn: Connection, names: Iterable[str]) -> str:
    mark = "%s" if is_postgres(conn) else "?"
    return " AND ".join(f"{name} = {mark}" for name in names)


def _delete(conn: Connection, table: Table, values: dict[str, Any]) -> int:
    key = [column.name for column in table.primary_key]
    sql = f"DELETE FROM {table.name} WHERE {_where(conn, key)}"
    return conn.exec_driver_sql(sql, tuple(values[name] for name in key)).rowcount


def _update(conn: Connection, table: Table, values: dict[str, Any], new: dict[str, Any]) -> int:
    """Only while the row is as it was judged: the next sweep sees what was written meanwhile."""
    mark = "%s" if is_postgres(conn) else "?"
    key = [column.name for column in table.primary_key]
    assigned = ", ".join(f"{name} = {mark}" for name in new)
    sql = f"UPDATE {table.name} SET {assigned} WHERE {_where(conn, [*key, *new])}"
    parameters = (*new.values(), *(values[name] for name in (*key, *new)))
    return conn.exec_driver_sql(sql, parameters).rowcount


def forget_words(conn: Connection, tenant: str, targets: Sequence[str]) -> int:
    """The reasons of the trail's entries about these chats and subjects; how many."""
    securely(conn)
    marks = ", ".join("?" * len(targets))
    found = query(
        conn,
        f"SELECT a.sequence FROM audit a JOIN audit_words w ON w.tenant = a.tenant AND w.sequence = a.sequence "
        f"WHERE a.tenant = ? AND a.target IN ({marks})",
        tenant,
        *targets,
    )
    mark = "%s" if is_postgres(conn) else "?"
    sql = f"DELETE FROM audit_words WHERE tenant = {mark} AND sequence = {mark}"
    return sum(conn.exec_driver_sql(sql, (tenant, row[0])).rowcount for row in found)


async def sweep(
    store: Store, tenant: str, person: Person, count: Callable[[Counter[str]], Awaitable[None]]
) -> bool:
    """Reads all tables through once; whether anything was found. Raises StorageUnavailable."""
    anything = False
    for table in tables():
        after: tuple[Any, ...] | None = None
        while True:
            found = await store.read(look, table, tenant, person, after)
            if found.gone or found.changed:
                anything = True
                await count(await store.transact(apply, table, found))
            if found.last is None:
                break
            after = found.last
    return anything


def close(conn: Connection, tenant: str, person: Person) -> Counter[str]:
    """The person's own rows, as far as indexes lead to them, in one transaction: none of them is left half.

    For what came in while tables were read one after the other; it is little.
    """
    securely(conn)
    counts: Counter[str] = Counter()
    marks = ", ".join("?" * len(person.keys))
    names = ("tenant", "session", "message_id", "command_id")
    rows = query(
        conn,
        f"SELECT {', '.join(names)} FROM messages WHERE tenant = ? AND chat IN ({marks})",
        tenant,
        *person.keys,
    )
    counts += follow_messages(conn, [dict(zip(names, row, strict=True)) for row in rows])
    for table in tables():
        if "chat" in table.c and table.name not in _HELD:
            counts[table.name] += _execute(
                conn, f"DELETE FROM {table.name} WHERE tenant = ? AND chat IN ({marks})", tenant, *person.keys
            )
    for table_name in ("contacts", "identities"):
        for column, values in (("pn", person.pns), ("lid", person.lids)):
            for value in values:
                sql = f"DELETE FROM {table_name} WHERE tenant = ? AND {column} = ?"
                counts[table_name] += _execute(conn, sql, tenant, value)
    return +counts


def _execute(conn: Connection, sql: str, *values: object) -> int:
    return conn.exec_driver_sql(sql.replace("?", "%s") if is_postgres(conn) else sql, values).rowcount
