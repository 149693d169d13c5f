"""docs/MIGRATION.md names tests that are there, and settings that somebody reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "MIGRATION.md").read_text()


def named() -> list[tuple[str, str]]:
    """(file, test) of each row; a test without a file is of the one named before it in the row."""
    found = []
    for row in TEXT.splitlines():
        file = ""
        for path, test in re.findall(r"`([\w/]*\.py)?::(\w+)`", row):
            file = path or file
            found.append((file, test))
    return found


def test_there_are_many() -> None:
    assert len(named()) > 40


@pytest.mark.parametrize(("file", "test"), named())
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)
