"""Every `pww` line of the documents is one that the command line takes: names, options and values as written."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import MissingArgumentError

from pywhatsweb_fleet.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = (ROOT / "RUNBOOKS.md", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_IN_COMPOSE = re.compile(r"docker compose run (?:-\S+ )*(?:pww|provision|setup) ")
_SPOKEN = re.compile(r"…|\.\.\.|^pww(?: \w+)?$|[|]|\bDIR\b$")
"""Not a command to type: words left out, a name alone, alternatives."""


def _parts(line: str) -> Iterator[str]:
    for part in re.split(r" && | ; ", _IN_COMPOSE.sub("pww ", line)):
        if part.strip().startswith("pww ") and not _SPOKEN.search(part.strip()):
            yield part.strip()


def _code(text: str) -> Iterator[str]:
    """Lines of code, each with those that go on with it: by a back slash, or by an open quote."""
    waiting = ""
    for line in re.findall(r"^(?: {4,}|\t)(.+)$", text, re.MULTILINE):
        waiting = f"{waiting} {line}" if waiting else line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        elif waiting.count("'") % 2 == 0:
            yield from _parts(waiting)
            waiting = ""


def documents() -> list[str]:
    return [path.read_text() for path in DOCUMENTS]


CODE = sorted({command for text in documents() for command in _code(text)})
NAMED = {
    part for text in documents() for quoted in re.findall(r"`([^`\n]+)`", text) for part in _parts(quoted)
}


def parse(command: str) -> None:
    app.parse_args(shlex.split(command, comments=True)[1:], exit_on_error=False, print_error=False)


def test_there_are_many() -> None:
    assert len(CODE) > 30
    assert len(NAMED) > 30


@pytest.mark.parametrize("command", CODE)
def test_a_line_of_code_is_a_command(command: str) -> None:
    parse(command)


@pytest.mark.parametrize("command", sorted(NAMED))
def test_what_is_named_exists(command: str) -> None:
    """In a sentence a command may stand without its arguments."""
    with contextlib.suppress(MissingArgumentError):
        parse(command)
