"""Rows of what the law asks for: who does which work, how long things are kept, erasures, exports."""

# ruff: noqa: S608 - statements are composed of our own names; values are always parameters
from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from pywhatsweb_fleet.storage.statements import is_postgres, query


def _execute(conn: Connection, sql: str, *parameters: object) -> int:
    if is_postgres(conn):
        sql = sql.replace("?", "%s")
    return conn.exec_driver_sql(sql, parameters).rowcount


def take_duty(conn: Connection, duty: str, holder: str, now: int, until: int) -> bool:
    """Whether the holder has the duty until then: it was free, or its own already. Times in milliseconds."""
    return bool(
        _execute(
            conn,
            "INSERT INTO duties (duty, holder, held_until) VALUES (?, ?, ?) ON CONFLICT (duty) DO UPDATE "
            "SET holder = excluded.holder, held_until = excluded.held_until "
            "WHERE duties.holder = excluded.holder OR duties.held_until <= ?",
            duty, holder, until, now,
        )
    )  # fmt: skip


def leave_duty(conn: Connection, duty: str, holder: str) -> None:
    _execute(conn, "DELETE FROM duties WHERE duty = ? AND holder = ?", duty, holder)


# How long things are kept.


def periods(conn: Connection, tenant: str) -> dict[str, int]:
    """Days by kind, where the tenant has a period of its own."""
    return {
        row[0]: row[1] for row in query(conn, "SELECT kind, days FROM retention WHERE tenant = ?", tenant)
    }


def set_period(  # noqa: PLR0917 - called through Store.transact, by position
    conn: Connection, tenant: str, kind: str, days: int | None, by: str | None, at: int
) -> None:
    """None: the usual period again."""
    _execute(conn, "DELETE FROM retention WHERE tenant = ? AND kind = ?", tenant, kind)
    if days is not None:
        _execute(
            conn,
            "INSERT INTO retention (tenant, kind, days, changed_at, changed_by) VALUES (?, ?, ?, ?, ?)",
            tenant, kind, days, at, by,
        )  # fmt: skip


# Erasures.


class Job(NamedTuple):
    """An erasure under way; ``work`` is JSON and names the person."""

    tenant: str
    erasure_id: str
    subject: str
    actor: str
    reason: str
    requested_at: int
    work: str


class Receipt(NamedTuple):
    """A row of ``erasures``; ``receipt`` is JSON."""

    tenant: str
    erasure_id: str
    subject: str
    actor: str
    reason: str
    receipt: str
    at: int


def begin_erasure(conn: Connection, job: Job) -> Job:
    """The job, or the one of the same subject that is under way already."""
    names = ", ".join(Job._fields)
    marks = ", ".join("?" * len(Job._fields))
    _execute(
        conn,
        f"INSERT INTO erasure_jobs ({names}) VALUES ({marks}) ON CONFLICT (tenant, subject) DO NOTHING",
        *job,
    )
    rows = query(
        conn, f"SELECT {names} FROM erasure_jobs WHERE tenant = ? AND subject = ?", job.tenant, job.subject
    )
    return Job(*rows[0])


def erasure_jobs(conn: Connection) -> list[Job]:
    """All, the oldest first."""
    rows = query(conn, f"SELECT {', '.join(Job._fields)} FROM erasure_jobs ORDER BY requested_at, erasure_id")
    return [Job(*row) for row in rows]


def erasure_job(conn: Connection, tenant: str, erasure_id: str) -> Job | None:
    sql = f"SELECT {', '.join(Job._fields)} FROM erasure_jobs WHERE tenant = ? AND erasure_id = ?"
    rows = query(conn, sql, tenant, erasure_id)
    return Job(*rows[0]) if rows else None


def save_work(conn: Connection, tenant: str, erasure_id: str, work: str) -> None:
    _execute(
        conn, "UPDATE erasure_jobs SET work = ? WHERE tenant = ? AND erasure_id = ?", work, tenant, erasure_id
    )


def end_erasure(conn: Connection, receipt: Receipt) -> bool:
    """The receipt in the job's place; whether the job was still there."""
    done = _execute(
        conn,
        "DELETE FROM erasure_jobs WHERE tenant = ? AND erasure_id = ?",
        receipt.tenant,
        receipt.erasure_id,
    )
    if done:
        names = ", ".join(Receipt._fields)
        marks = ", ".join("?" * len(Receipt._fields))
        _execute(conn, f"INSERT INTO erasures ({names}) VALUES ({marks})", *receipt)
    return bool(done)


def receipt(conn: Connection, tenant: str, erasure_id: str) -> Receipt | None:
    sql = f"SELECT {', '.join(Receipt._fields)} FROM erasures WHERE tenant = ? AND erasure_id = ?"
    rows = query(conn, sql, tenant, erasure_id)
    return Receipt(*rows[0]) if rows else None


# Exports.


class ExportRow(NamedTuple):
    """A row of ``exports``; ``state``: waiting, done or failed; ``work`` is JSON, which names the person until done."""

    tenant: str
    export_id: str
    subject: str | None
    actor: str
    state: str
    requested_at: int
    expires_at: int
    work: str


_EXPORT = ", ".join(ExportRow._fields)


def add_export(conn: Connection, row: ExportRow) -> None:
    _execute(conn, f"INSERT INTO exports ({_EXPORT}) VALUES ({', '.join('?' * len(row))})", *row)


def export(conn: Connection, tenant: str, export_id: str) -> ExportRow | None:
    rows = query(conn, f"SELECT {_EXPORT} FROM exports WHERE tenant = ? AND export_id = ?", tenant, export_id)
    return ExportRow(*rows[0]) if rows else None


def exports_waiting(conn: Connection) -> list[ExportRow]:
    rows = query(
        conn, f"SELECT {_EXPORT} FROM exports WHERE state = 'waiting' ORDER BY requested_at LIMIT 20"
    )
    return [ExportRow(*row) for row in rows]


def exports_past(conn: Connection, now: int) -> list[ExportRow]:
    """Those whose time is over."""
    rows = query(conn, f"SELECT {_EXPORT} FROM exports WHERE expires_at <= ? LIMIT 100", now)
    return [ExportRow(*row) for row in rows]


def exports_of(conn: Connection, tenant: str, subject: str) -> list[ExportRow]:
    """Those that hold a person's data: the person's own, and all of the tenant's."""
    sql = f"SELECT {_EXPORT} FROM exports WHERE tenant = ? AND (subject = ? OR subject IS NULL)"
    return [ExportRow(*row) for row in query(conn, sql, tenant, subject)]


def save_export(conn: Connection, row: ExportRow) -> bool:
    """Whether it is still there (not expired, not erased)."""
    sql = "UPDATE exports SET state = ?, expires_at = ?, work = ? WHERE tenant = ? AND export_id = ?"
    return bool(_execute(conn, sql, row.state, row.expires_at, row.work, row.tenant, row.export_id))


def forget_export(conn: Connection, tenant: str, export_id: str) -> None:
    _execute(conn, "DELETE FROM exports WHERE tenant = ? AND export_id = ?", tenant, export_id)
