"""What became of a campaign's rows, and what that means for the next run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from pywhatsweb.client.bulk_rows import Row
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import ErrorCode

STOPS: Final = frozenset(
    (
        ErrorCode.E_WHATSAPP_REACHOUT_LIMITED,
        ErrorCode.E_QUOTA_EXCEEDED,
        ErrorCode.E_SESSION_STOPPED,
        ErrorCode.E_SESSION_NOT_FOUND,
        ErrorCode.E_TENANT_SUSPENDED,
    )
)
"""What ends a run: the next rows would meet the same. Rows that met it wait for the next run."""
AGAIN: Final = frozenset((ErrorCode.E_RATE_LIMITED, ErrorCode.E_QUEUE_FULL))
_UNSENT: Final = (MessageStatus.FAILED, MessageStatus.REJECTED, MessageStatus.CANCELLED)


class RowResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a row: a `MessageStatus`, or ``invalid``: nothing was sent, for the `code`."""

    row: int
    status: str
    code: str | None = None
    command_id: str | None = None
    message_id: str | None = None
    at: str | None = None


_REPORT: Final = ("row", "to", "status", "code", "command_id", "message_id", "at")


def write_report(path: Path, rows: Iterable[Row], results: Mapping[int, RowResult]) -> None:
    """A line a row, with what became of it; ``waiting``: nothing yet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_REPORT)
        for row in rows:
            found = results.get(row.number) or RowResult(row=row.number, status="waiting")
            cells = (found.status, found.code, found.command_id, found.message_id, found.at)
            writer.writerow([row.number, _inert(row.to), *(cell or "" for cell in cells)])


def _inert(cell: str) -> str:
    """No spreadsheet takes it for a formula."""
    return "'" + cell if cell[:1] in ("=", "@", "-", "\t", "\r") else cell


def is_spent(known: Status) -> bool:
    """Whether nothing was sent under an id, and the row may be sent under the next."""
    if known.status is MessageStatus.CANCELLED:
        return True
    return known.status in _UNSENT and code_of(known) in STOPS | AGAIN


def code_of(known: Status) -> ErrorCode | None:
    return ErrorCode.from_wire(known.error.code) if known.error is not None else None


def of_status(row: Row, command_id: str, known: Status) -> RowResult:
    return RowResult(
        row=row.number,
        status=known.status.value,
        code=known.error.code if known.error is not None else None,
        command_id=command_id,
        message_id=known.message_id,
        at=known.at,
    )


def cancelled(
    row: Row, status: MessageStatus = MessageStatus.CANCELLED, command_id: str | None = None
) -> RowResult:
    return RowResult(
        row=row.number, status=status.value, code=ErrorCode.E_CANCELLED.wire, command_id=command_id
    )
