"""The table of a campaign: a CSV file of people and the values of a template's variables, as spreadsheets write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from pywhatsweb.errors import ContractError, ErrorCode

MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
NUMBER_COLUMNS: Final = (
    "to",
    "number",
    "phone",
    "phone_number",
    "numero",
    "número",
    "telefone",
    "celular",
    "whatsapp",
)
_DELIMITERS: Final = (",", ";", "\t")


class Row(msgspec.Struct, frozen=True):
    """`number` counts the rows below the heading from 1. `problem`: why nobody can be written to because of it."""

    number: int
    to: str
    variables: Mapping[str, str] = {}
    problem: ErrorCode | None = None


def read_rows(path: Path, column: str | None = None) -> list[Row]:
    """The rows of a CSV file with a heading. `column`: that of the numbers; else one of `NUMBER_COLUMNS`.

    UTF-8, or Windows' Latin alphabet; separated by commas, semicolons or tabs. Raises ContractError (E_INVALID_FIELD,
    E_BODY_TOO_LARGE) for a file that is no such table, OSError for one that cannot be read.
    """
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        raise ContractError(ErrorCode.E_BODY_TOO_LARGE, {"limit": MAX_BYTES})
    return rows_of(_text(raw), column)


def rows_of(text: str, column: str | None = None) -> list[Row]:
    heading = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=heading.count)
    try:
        table = [
            cells
            for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if cells
        ]
    except csv.Error:
        raise _refused("no table of comma-separated values") from None
    if not table:
        raise _refused("no heading")
    names = [name.strip().lower() for name in table[0]]
    if len(set(names)) < len(names):
        raise _refused("two columns of one name")
    wanted = (column.strip().lower(),) if column is not None else NUMBER_COLUMNS
    place = next((names.index(name) for name in wanted if name in names), None)
    if place is None:
        raise _refused(f"no column of numbers: {', '.join(wanted)}")
    if len(table) - 1 > MAX_ROWS:
        raise ContractError(ErrorCode.E_BODY_TOO_LARGE, {"limit": MAX_ROWS})
    return [_row(at, cells, names, place) for at, cells in enumerate(table[1:], 1)]


def _row(number: int, cells: list[str], names: list[str], place: int) -> Row:
    if len(cells) != len(names):
        return Row(
            number, cells[place].strip() if place < len(cells) else "", problem=ErrorCode.E_INVALID_FIELD
        )
    to = cells[place].strip()
    del cells[place]
    others = names[:place] + names[place + 1 :]
    values = {name: cell.strip() for name, cell in zip(others, cells, strict=True) if cell.strip()}
    return Row(number, to, values, None if 0 < len(to) <= 128 else ErrorCode.E_INVALID_PHONE)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _refused(reason: str) -> ContractError:
    return ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$", "reason": reason})
