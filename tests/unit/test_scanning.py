"""The scan of what fleets leave finds what it should, and is ended by nothing that lies there."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker import secrets
from tests.support import scanning

NUMBER, TEXT = "+5511987650099", "até amanhã às nove"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """What a fleet with one message left; gone again before the run's own scan."""
    found = tmp_path / "fleet0" / "data"
    (found / "logs").mkdir(parents=True)
    secrets.load_or_make(found, ["acme"])
    secrets.encryption_key(found)
    with contextlib.closing(sqlite3.connect(found / "fleet.db")) as database:
        database.executescript(
            "CREATE TABLE contacts (pn TEXT); CREATE TABLE chats (pn TEXT); CREATE TABLE sessions (phone_number TEXT);"
            "CREATE TABLE messages (body TEXT);"
        )
        database.execute("INSERT INTO contacts VALUES (?)", (NUMBER,))
        database.execute("INSERT INTO messages VALUES (?), ('short')", (TEXT,))
        database.commit()
    yield found
    shutil.rmtree(found)


def test_nothing_is_found_where_all_is_in_its_place(data: Path, tmp_path: Path) -> None:
    """Also what a kill left of a private file half written."""
    (data / ".secrets.json.0a1b2c3d.tmp").write_text((data / "secrets.json").read_text())
    (data / "logs" / "worker.jsonl").write_text('{"event": "ready", "port": 4222, "at": "short"}\n')
    data.with_name("up.log").write_text('  pww send --session s1 --to +5511987650099 "Olá!"\n')
    assert scanning.report(tmp_path) == (1, [])


@pytest.mark.parametrize(
    "line",
    [
        "to +5511987650099",
        '{"to": "5511987650099"}',
        f"said {TEXT}",
        '{"body": "at\\u00e9 amanh\\u00e3 \\u00e0s nove"}',
        "KEY",
    ],
)
def test_what_is_told_is_found(data: Path, tmp_path: Path, line: str) -> None:
    """In a log of a service, and in what the fleet printed."""
    told = (data / "encryption.key").read_text() if line == "KEY" else line
    (data / "logs" / "worker.jsonl").write_text(told)
    data.with_name("up.log").write_text(told)
    count, found = scanning.report(tmp_path)
    assert count == 1
    assert {place.split(": ")[1] for place in found} == {"the log", "logs/worker.jsonl"}


@pytest.mark.parametrize("name", ["secrets.json", "fleet.db"])
def test_a_fleet_that_was_broken_is_passed_over(data: Path, tmp_path: Path, name: str) -> None:
    """Tests break files on purpose."""
    (data / name).write_bytes(b"{broken" * 1000)
    assert scanning.report(tmp_path) == (0, [])
