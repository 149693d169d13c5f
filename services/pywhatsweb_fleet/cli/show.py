"""How answers look: JSON a line for programs, short tables within 80 columns for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

WIDTH = 80
_GREEN, _YELLOW, _RED, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_COLOURS = {
    **dict.fromkeys(("WORKING", "sent", "delivered", "read", "played", "ok"), _GREEN),
    **dict.fromkeys(
        ("STARTING", "SCAN_QR_CODE", "PAIRING_CODE", "PASSKEY_REQUIRED", "RECONNECTING", "unknown"), _YELLOW
    ),
    **dict.fromkeys(("LOGGED_OUT", "REPLACED", "BANNED", "FAILED", "failed", "rejected", "expired"), _RED),
}


def on_terminal() -> bool:
    return sys.stdout.isatty()


def coloured() -> bool:
    """Colours only for eyes, and not when https://no-color.org asks for none."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def word(text: str) -> str:
    """A status in its colour."""
    colour = _COLOURS.get(text)
    return f"{colour}{text}{_PLAIN}" if colour and coloured() else text


def dim(text: str) -> str:
    return f"{_DIM}{text}{_PLAIN}" if coloured() else text


def json_line(value: Any) -> None:
    """One document on one line. Bytes (an opaque field of a media file) become base64."""
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_base64), flush=True)


def _base64(value: Any) -> str:
    import base64

    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Columns of the widths they need; the last one gives way when a line would be too long."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        last = number == len(columns) - 1
        drawn.add_column(name, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        drawn.add_row(*(Text.from_ansi(word(cell or "-")) for cell in row))
    Console(width=None if on_terminal() else WIDTH, highlight=False).print(drawn)


def listing(
    form: str,
    found: Sequence[Any],
    empty: str,
    columns: Sequence[str],
    row: Callable[[Any], Sequence[str | None]],
) -> None:
    """As `form` says: a document each, or a table of what `row` makes of each; `empty` is said of none."""
    if form == "json":
        for one in found:
            json_line(one)
    elif not found:
        print(empty)
    else:
        table(columns, (row(one) for one in found))


def pairs(values: dict[str, Any]) -> None:
    """What is known of one thing, a line each; what is unknown is left out."""
    known = {name: value for name, value in values.items() if value not in (None, "", {}, [])}
    width = max((len(name) for name in known), default=0)
    for name, value in known.items():
        print(f"{dim(name.ljust(width))}  {word(str(value))}")
