"""``pww bulk …``: a template to many people who agreed to it, from a CSV file."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pywhatsweb.errors import ErrorCode, PyWhatsWebError, error_struct
from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection, Where

if TYPE_CHECKING:
    import ssl

    from pywhatsweb.client import Bulk, FleetClient, Row

app = App(
    name="bulk",
    help="Send a template to many people who agreed to it; begun again, it goes on where it was.",
    result_action="return_value",
)
_GOOD = ("sent", "delivered", "read", "played")
_SHOWN = 20


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Of:
    """The same at each run of a campaign."""

    campaign: str
    """The campaign's name: nobody is written to twice under it."""
    session: str
    """Which session sends."""
    template: str
    """A stored template; the file's columns are its variables."""
    language: str = "pt_BR"
    """The template's language."""
    consent: str | None = None
    """Only to people whose consent to this purpose is on record."""
    basis: str | None = None
    """Instead of --consent: what else the campaign rests on, in words for the audit trail."""
    column: str | None = None
    """The column of the numbers; else to, number, phone, telefone, …"""
    journal: Path | None = None
    """Where it is kept how far the campaign has come; else beside the file."""
    report: Path | None = None
    """Where the outcome of each row is written, as CSV; else beside the file."""
    by: str | None = None
    """Who does it, for the audit trail."""


@app.command
def check(file: Path, /, *, of: Of, where: Connection = None, form: Answer = "human") -> int:
    """Say which rows cannot be sent and why, and show the first message; nothing is sent.

    Parameters
    ----------
    file
        A CSV file with a heading.
    """
    return asyncio.run(_check(file, of, where, form))


@app.command
def send(
    file: Path,
    /,
    *,
    of: Of,
    per_minute: Annotated[float | None, Parameter(negative="")] = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Send to everybody in the file who may be written to, or go on with that. Ctrl-C pauses.

    Exit code: 0 all sent, 1 some not (the report says which), 130 paused.

    Parameters
    ----------
    file
        A CSV file with a heading.
    per_minute
        How many rows a minute; else as fast as the session's own pacing lets them.
    dry_run
        As `pww bulk check`.
    """
    if dry_run:
        return asyncio.run(_check(file, of, where, form))
    if per_minute is not None and per_minute <= 0:
        raise exits.CommandError("--per-minute is more than 0.", exit_code=exits.USAGE)
    return asyncio.run(_send(file, of, per_minute, where, form))


@app.command
def cancel(file: Path, /, *, of: Of, where: Connection = None, form: Answer = "human") -> int:
    """End a campaign for good: what is not sent yet never will be under its name.

    Parameters
    ----------
    file
        The campaign's file.
    """
    return asyncio.run(_cancel(file, of, where, form))


async def _check(file: Path, of: Of, where: Connection, form: Answer) -> int:
    async with _bulk(file, of, None, where) as (fleet, bulk):
        found = await bulk.check()
        good = [row for row in bulk.rows if row.number not in found]
        if form == "json":
            for row in bulk.rows:
                code = found.get(row.number)
                show.json_line({"row": row.number, "ok": code is None, "code": code.wire if code else None})
            return exits.FAILED if found else exits.OK
        show.pairs({"rows": len(bulk.rows), "can be sent": len(good), **_counted(found.values())})
        for number, code in [*sorted(found.items())][:_SHOWN]:
            print(f"row {number}: {error_struct(code).message} [{code.wire}]")
        if good:
            shown = await fleet.templates.preview(
                of.template, of.language, variables=await _values(fleet, of, good[0])
            )
            content = shown.content
            print(f"\nRow {good[0].number} would say:\n{content.get('body') or content.get('caption') or ''}")
        return exits.FAILED if found else exits.OK


async def _values(fleet: FleetClient, of: Of, row: Row) -> dict[str, str]:
    template = await fleet.templates.get(of.template, of.language)
    return {name: row.variables[name] for name in template.variables if name in row.variables}


async def _send(file: Path, of: Of, per_minute: float | None, where: Connection, form: Answer) -> int:
    from pywhatsweb.client import write_report
    from pywhatsweb_fleet.cli.progress import progress

    async with _bulk(file, of, per_minute, where) as (_, bulk):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, bulk.stop)
        try:
            with progress(of.campaign) as move:
                whole = await bulk.run(lambda done, total: move(done / total if total else 1.0))
        finally:
            if bulk.results:
                write_report(_report(file, of), bulk.rows, bulk.results)
        return _told(file, of, bulk, whole, form)


async def _cancel(file: Path, of: Of, where: Connection, form: Answer) -> int:
    from pywhatsweb.client import write_report

    async with _bulk(file, of, None, where) as (_, bulk):
        await bulk.cancel()
        write_report(_report(file, of), bulk.rows, bulk.results)
        _summary(file, of, bulk, form)
    return exits.OK


@contextlib.asynccontextmanager
async def _bulk(
    file: Path, of: Of, per_minute: float | None, where: Connection
) -> AsyncIterator[tuple[FleetClient, Bulk]]:
    """Raises CommandError."""
    from pywhatsweb.client import Campaign, connect, read_rows
    from pywhatsweb_fleet.cli.link import find

    if (of.consent is None) == (of.basis is None):
        raise exits.CommandError("--consent with a purpose, or --basis, one of both.", exit_code=exits.USAGE)
    target = find(where or Where())
    broker = target.broker
    try:
        rows = read_rows(file, of.column)
        campaign = Campaign(
            name=of.campaign, session_id=of.session, template=of.template, language=of.language, purpose=of.consent,
            basis=of.basis, per_minute=per_minute, by=of.by,
        )  # fmt: skip
        async with connect(
            broker.nats_url, user=broker.nats_user, password=broker.nats_password, creds=broker.nats_creds,
            tenant=target.tenant, tls=_tls(broker.nats_ca), name="pww bulk",
        ) as fleet:  # fmt: skip
            yield fleet, fleet.bulk(campaign, rows, _journal(file, of))
    except OSError as error:
        name = error.filename or file
        raise exits.CommandError(
            f"{name} cannot be used ({error.strerror}).", exit_code=exits.USAGE
        ) from None
    except PyWhatsWebError as error:
        from pywhatsweb_fleet.cli.link import refused

        body = error_struct(error.code, error.details)
        raise refused(
            {"code": body.code, "message": body.message, "action": body.action, "details": body.details}
        ) from None


def _tls(ca: str | None) -> ssl.SSLContext | None:
    if ca is None:
        return None
    import ssl

    return ssl.create_default_context(cafile=ca)


def _journal(file: Path, of: Of) -> Path:
    return of.journal or file.with_name(f"{file.name}.{_plain(of.campaign)}.journal")


def _report(file: Path, of: Of) -> Path:
    return of.report or file.with_name(f"{file.name}.{_plain(of.campaign)}.report.csv")


def _plain(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in name)


def _told(file: Path, of: Of, bulk: Bulk, whole: bool, form: Answer) -> int:
    _summary(file, of, bulk, form)
    if bulk.stopped is not None:
        body = error_struct(bulk.stopped)
        raise exits.CommandError(
            f"the campaign stopped: {body.message} [{body.code}]",
            action=f"{body.action} Then run the same command: it goes on where it was.",
        )
    if not whole:
        return exits.INTERRUPTED
    return exits.OK if all(found.status in _GOOD for found in bulk.results.values()) else exits.FAILED


def _summary(file: Path, of: Of, bulk: Bulk, form: Answer) -> None:
    states = Counter(found.status for found in bulk.results.values())
    waiting = len(bulk.rows) - len(bulk.results)
    codes = Counter(found.code for found in bulk.results.values() if found.code is not None)
    report = str(_report(file, of))
    if form == "json":
        show.json_line(
            {"rows": len(bulk.rows), "waiting": waiting, "states": states, "codes": codes, "report": report}
        )
        return
    show.pairs({"rows": len(bulk.rows), **states, **codes, "waiting": waiting or None, "report": report})


def _counted(codes: Iterable[ErrorCode]) -> dict[str, int]:
    return dict(Counter(code.wire for code in codes))
