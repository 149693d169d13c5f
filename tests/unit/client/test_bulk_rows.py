"""A campaign's table as spreadsheets write it, its journal as crashes leave it, its report as spreadsheets read it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.client.bulk_journal import opened
from pywhatsweb.client.bulk_results import RowResult, write_report
from pywhatsweb.client.bulk_rows import Row, read_rows, rows_of
from pywhatsweb.errors import ContractError, ErrorCode

CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@pytest.mark.parametrize("raw", [
    "Telefone;Nome\n+5511999990001;José\n".encode("utf-8-sig"),
    "Telefone;Nome\r\n+5511999990001;José\r\n".encode("cp1252"),
    "nome,NUMBER\nJosé,+5511999990001\n\n".encode(),
    'nome\tto\n"José"\t+5511999990001'.encode(),
])  # fmt: skip
def test_what_spreadsheets_write_is_read(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(raw)
    assert read_rows(path) == [Row(1, "+5511999990001", {"nome": "José"})]


@pytest.mark.parametrize("text", ["", "nome\nAna\n", "to,to\n1,2\n", 'to,nome\n"+55,Ana\n'])
def test_what_is_no_table_of_people_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as refused:
        rows_of(text)
    assert refused.value.code is ErrorCode.E_INVALID_FIELD


def test_a_row_that_is_wrong_is_told_in_its_place() -> None:
    rows = rows_of("to,nome\n+5511999990001\n,Ana\n+5511999990002,\n")
    assert [row.problem for row in rows] == [ErrorCode.E_INVALID_FIELD, ErrorCode.E_INVALID_PHONE, None]
    assert rows[2].variables == {}, "an empty cell is no value"


def test_another_column_may_hold_the_numbers() -> None:
    (row,) = rows_of("to,Contato,nome\nx,+5511999990001,Ana\n", "contato")
    assert (row.to, row.variables) == ("+5511999990001", {"to": "x", "nome": "Ana"})


@given(st.lists(CELL, min_size=1, max_size=5))
def test_no_cell_of_the_report_is_a_formula(cells: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "report.csv"
        write_report(path, [Row(at, cell) for at, cell in enumerate(cells)], {})
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    assert len(rows) == len(cells)
    assert all(row["to"][:1] not in ("=", "@", "-") and row["status"] == "waiting" for row in rows)


@given(st.data())
def test_a_journal_that_was_cut_anywhere_loses_the_end_only(data: st.DataObject) -> None:
    """And takes new lines after that; what it holds names nobody."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal"
        with opened(path, "d1") as journal:
            for row in range(1, 6):
                journal.begin(row, row)
                journal.end(RowResult(row=row, status="sent"))
        raw = path.read_bytes()
        first = raw.index(b"\n") + 1
        path.write_bytes(raw[: data.draw(st.integers(first, len(raw)))])
        with opened(path, "d1") as journal:
            known = dict(journal.results)
            assert [*known] == [*range(1, len(known) + 1)]
            assert {*known} <= {*journal.begun}
            journal.end(RowResult(row=9, status="failed"))
        with opened(path, "d1") as journal:
            assert journal.results == {**known, 9: RowResult(row=9, status="failed")}


def test_a_journal_is_of_one_campaign_and_one_process(tmp_path: Path) -> None:
    with opened(tmp_path / "journal", "d1"):
        with pytest.raises(ContractError) as busy, opened(tmp_path / "journal", "d1"):
            pass
        assert busy.value.code is ErrorCode.E_CONFLICT
    with pytest.raises(ContractError) as other, opened(tmp_path / "journal", "d2"):
        pass
    assert other.value.code is ErrorCode.E_DUPLICATE_ID
