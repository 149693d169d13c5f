"""What each engine does of each kind, a cell each: a test of `cases`, or the reason why the library cannot.

`docs/KINDS.md` is made of this, and the cells' tests are the cases that run:

    PYTHONPATH=shared:services:. python -m tests.e2e.kinds.table
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from tests.e2e.kinds import groups, own, past, posts
from tests.e2e.kinds.cases import CASES, Direction

FILE = Path(__file__).resolve().parents[3] / "docs" / "KINDS.md"

DIRECTIONS: Final[tuple[Direction, ...]] = ("out", "in")
ENGINES: Final = ("baileys", "webjs")
"""Another one is added with its reasons, and its column appears. `tests/e2e/test_webjs.py` runs the cells of webjs."""

_PHONES_ONLY = "only phones share a moving position"
_MENUS = "whatsapp-web.js has given its buttons and lists up: WhatsApp shows them to nobody"
_ASKED_FOR = "it is asked for: `history.fetch`"
_MENUS_IN = "told as `unsupported` with WhatsApp's name of it"
REASONS: Final[dict[str, dict[tuple[str, Direction], str]]] = {
    "baileys": {
        ("Live location", "out"): _PHONES_ONLY,
        ("Calls", "out"): "WhatsApp's libraries carry no voice",
        ("Read receipts", "in"): "they are statuses: `delivered`, `read` and `played` of what was sent",
        ("Chosen reply buttons and rows", "out"): "an answer to a business's menu; Baileys makes none",
        ("Votes in a poll", "out"): "Baileys cannot vote",
        ("Flow, product and product list", "out"): "only numbers of the business API have them",
        ("Flow, product and product list", "in"): "told as `unsupported` with WhatsApp's name of it",
        ("History on request", "out"): _ASKED_FOR,
    },
    "webjs": {
        ("History on request", "out"): _ASKED_FOR,
        ("Labels made and changed", "out"): "whatsapp-web.js has no word for it",
        ("Labels on messages", "out"): "whatsapp-web.js has no word for it",
        ("Labels on messages", "in"): "whatsapp-web.js does not tell it",
        ("Live location", "out"): _PHONES_ONLY,
        ("Live location", "in"): "the page tells where it began, not how it goes on",
        ("Reply buttons", "out"): _MENUS,
        ("Reply buttons", "in"): _MENUS_IN,
        ("List menu", "out"): _MENUS,
        ("List menu", "in"): _MENUS_IN,
        ("Link button and location request", "out"): _MENUS,
        ("Link button and location request", "in"): _MENUS_IN,
        ("Chosen reply buttons and rows", "out"): _MENUS,
        ("Chosen reply buttons and rows", "in"): _MENUS_IN,
        ("Pin", "in"): "whatsapp-web.js does not tell it",
        ("Disappearing messages", "out"): "whatsapp-web.js has no word for it",
        ("Disappearing messages", "in"): "whatsapp-web.js does not tell it",
        ("Typing and presence", "in"): "whatsapp-web.js does not tell it",
        ("Read receipts", "in"): "they are statuses: `delivered`, `read` and `played` of what was sent",
        ("Calls", "out"): "WhatsApp's libraries carry no voice",
        ("Flow, product and product list", "out"): "only numbers of the business API have them",
        ("Flow, product and product list", "in"): "told as `unsupported` with WhatsApp's name of it",
    },
}
"""Cells without a test."""

PARTS: Final = (groups, own, past, posts)
"""Modules whose cases are part of `CASES`."""

KINDS: Final = tuple(
    dict.fromkeys(
        (*(case.kind for case in CASES), *(kind for cells in REASONS.values() for kind, _ in cells))
    )
)


class Cell(NamedTuple):
    """``reason`` None: a test shows that it works."""

    kind: str
    direction: Direction
    reason: str | None


def cells(engine: str) -> list[Cell]:
    """Every cell of an engine's columns. Raises LookupError for one that has neither test nor reason."""
    tested = {(case.kind, case.direction) for case in CASES}
    reasons = REASONS[engine]
    found = []
    for kind in KINDS:
        for direction in DIRECTIONS:
            place = (kind, direction)
            if place not in reasons and place not in tested:
                raise LookupError(f"{engine}: {kind} ({direction}) has neither a test nor a reason")
            found.append(Cell(kind, direction, reasons.get(place)))
    return found


def render() -> str:
    """The file's text."""
    about = (
        "What the fleet sends (out) and tells (in), by engine. ✓: an end-to-end test on the sandbox shows it"
        " (`tests/e2e/kinds`). What an engine cannot is rejected with `E_UNSUPPORTED_TYPE` before it is queued;"
        " `session.capabilities` tells the names. This file is made from the tests:"
        " `PYTHONPATH=shared:services:. python -m tests.e2e.kinds.table`."
    )
    lines = [
        "# Kinds of messages and actions",
        "",
        about,
        "",
        "| kind | " + " | ".join(f"{engine} out | {engine} in" for engine in ENGINES) + " |",
        "|---|" + "---|---|" * len(ENGINES),
    ]
    notes: list[str] = []
    columns = {engine: {(cell.kind, cell.direction): cell for cell in cells(engine)} for engine in ENGINES}
    for kind in KINDS:
        row = [kind]
        for engine in ENGINES:
            for direction in DIRECTIONS:
                cell = columns[engine][kind, direction]
                row.append("✓" if cell.reason is None else _note(notes, cell.reason))
        lines.append("| " + " | ".join(row) + " |")
    lines += ["", *(f"{at}. {note[:1].upper()}{note[1:]}." for at, note in enumerate(notes, 1)), ""]
    return "\n".join(lines)


def _note(notes: list[str], reason: str) -> str:
    if reason not in notes:
        notes.append(reason)
    return f"[{notes.index(reason) + 1}]"


if __name__ == "__main__":
    FILE.write_text(render(), "utf-8")
