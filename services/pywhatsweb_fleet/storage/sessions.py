"""What sessions and groups told of themselves, and the history of sessions."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import insert_rows, query
from pywhatsweb_fleet.storage.tables import groups, session_events, sessions


class StateRow(NamedTuple):
    """A row of ``sessions``; (epoch, sequence) orders what a session tells."""

    tenant: str
    session: str
    status: str
    engine: str | None
    phone_number: str | None
    lid: str | None
    name: str | None
    reason: str | None
    error: str | None
    epoch: int
    sequence: int
    changed_at: int


class HappeningRow(NamedTuple):
    """A row of ``session_events``; ``data`` is JSON without secrets."""

    tenant: str
    event_id: str
    session: str
    kind: str
    epoch: int
    sequence: int
    data: str
    recorded_at: int


class GroupRow(NamedTuple):
    """A row of ``groups``. Who is in one is not kept: WhatsApp tells changes, not members; the session knows."""

    tenant: str
    group_id: str
    subject: str | None
    changed_at: int


def record_states(conn: Connection, rows: Iterable[StateRow]) -> None:
    """Keeps the newest of each session."""
    newest: dict[tuple[str, str], StateRow] = {}
    for row in rows:
        old = newest.get(row[:2])
        if old is None or (row.epoch, row.sequence) > (old.epoch, old.sequence):
            newest[row[:2]] = row
    columns = StateRow._fields
    replaced = ", ".join(f"{column} = excluded.{column}" for column in columns[2:])
    # An account's number, LID and name are told when it opens; a later state may leave them out.
    for column in ("engine", "phone_number", "lid", "name"):
        replaced = replaced.replace(
            f"= excluded.{column}", f"= coalesce(excluded.{column}, sessions.{column})"
        )
    insert_rows(
        conn, sessions, columns, [row for _, row in sorted(newest.items())],
        f"(tenant, session) DO UPDATE SET {replaced} "
        "WHERE (excluded.epoch, excluded.sequence) > (sessions.epoch, sessions.sequence)",
    )  # fmt: skip


def record_happenings(conn: Connection, rows: Iterable[HappeningRow]) -> int:
    """Adds what is not there yet; how many."""
    return insert_rows(conn, session_events, HappeningRow._fields, sorted(rows), "DO NOTHING")


def record_groups(conn: Connection, rows: Iterable[GroupRow]) -> None:
    """Keeps the newest of each group; a change that does not name the subject keeps it."""
    newest: dict[tuple[str, str], GroupRow] = {}
    for row in sorted(rows, key=lambda row: row.changed_at):
        old = newest.get(row[:2])
        newest[row[:2]] = row if old is None or row.subject else row._replace(subject=old.subject)
    insert_rows(
        conn, groups, GroupRow._fields, [row for _, row in sorted(newest.items())],
        "(tenant, group_id) DO UPDATE SET subject = coalesce(excluded.subject, groups.subject), "
        "changed_at = excluded.changed_at "
        "WHERE excluded.changed_at >= groups.changed_at",
    )  # fmt: skip


def group_names(conn: Connection, tenant: str, group_ids: Iterable[str]) -> dict[str, str]:
    """The subjects of groups that have one."""
    sql = "SELECT subject FROM groups WHERE tenant = ? AND group_id = ? AND subject IS NOT NULL"
    found = {group_id: query(conn, sql, tenant, group_id) for group_id in set(group_ids)}
    return {group_id: rows[0][0] for group_id, rows in found.items() if rows}


def states(conn: Connection, tenant: str) -> list[StateRow]:
    """The tenant's sessions as they last told of themselves."""
    sql = f"SELECT {', '.join(StateRow._fields)} FROM sessions WHERE tenant = ? ORDER BY session"
    return [StateRow(*row) for row in query(conn, sql, tenant)]
