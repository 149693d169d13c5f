"""How events, tables and QR codes look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pywhatsweb_fleet.cli import qr, show
from pywhatsweb_fleet.cli.messages import line

CODE = "2@" + "x7Kp" * 50 + ",abc=,def=,1"


def unblock(text: str, dark: dict[str, tuple[bool, bool]]) -> list[list[bool]]:
    """The modules that a camera would see in the blocks."""
    rows: list[list[bool]] = []
    for found in text.splitlines():
        pairs = [dark[sign] for sign in found]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


def test_blocks_show_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Module by module, for dark and for light terminals, with the quiet zone around and within 80 columns."""
    modules = qr.matrix(CODE)
    on_dark = {"█": (False, False), "▄": (True, False), "▀": (False, True), " ": (True, True)}
    on_light = {sign: (not upper, not lower) for sign, (upper, lower) in on_dark.items()}
    for light, signs in ((False, on_dark), (True, on_light)):
        text = qr.blocks(CODE, colours=False, light=light)
        assert unblock(text, signs)[: len(modules)] == modules
        assert max(map(len, text.splitlines())) <= 80
    border = [*modules[:4], *modules[-4:], *(row[:4] + row[-4:] for row in modules)]
    assert not any(any(row) for row in border)


def test_colours_do_not_depend_on_the_terminals() -> None:
    """Black on white is asked for, line by line, and taken back at each line's end."""
    for text in qr.blocks(CODE, colours=True).splitlines():
        assert text.startswith("\x1b[38;5;16;48;5;231m")
        assert text.endswith("\x1b[0m")


def test_the_png_is_the_same_code(tmp_path: Path) -> None:
    """Eight pixels a module."""
    qr.save_png(CODE, tmp_path / "qr.png")
    with Image.open(tmp_path / "qr.png") as picture:
        size, pixels = picture.size[0] // 8, picture.convert("L")
        seen = [[pixels.getpixel((x * 8 + 4, y * 8 + 4)) == 0 for x in range(size)] for y in range(size)]
    assert seen == qr.matrix(CODE)


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        (
            "session",
            {"status": "WORKING", "phone_number": "+55119", "reason": None, "error": None},
            "WORKING +55119",
        ),
        (
            "status",
            {"status": "failed", "command_id": "c1", "error": {"code": "E_EXPIRED"}},
            "failed c1 E_EXPIRED",
        ),
        (
            "message",
            {
                "type": "text",
                "origin": "inbound",
                "chat": {"key": "k", "pn": "+55119"},
                "text": {"body": "a\nb"},
            },
            "← +55119 a b",
        ),
        (
            "message",
            {"type": "image", "origin": "outbound", "chat": {"key": "k"}, "image": {}},
            "→ k [image]",
        ),
        ("contacts", {"type": "x", "chat": {"key": "k", "group": "g"}}, "g type=x"),
        ("newer", {"what": "ever", "n": 1, "deep": {}}, "what=ever n=1"),
    ],
)
def test_an_event_is_one_line(kind: str, data: dict[str, Any], wanted: str) -> None:
    """Time, session, type, and what it is about; a type of a later version too."""
    text = line({"event": kind, "session_id": "s1", "timestamp": "2026-11-22T12:34:56.789Z", "data": data})
    assert text.startswith("12:34:56  s1")
    assert text.endswith(wanted)
    assert "\n" not in text


def test_a_table_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """80 columns without a terminal, whatever is in it; what is unknown is a dash."""
    show.table(("SESSION", "STATUS", "NOTE"), [("s" * 30, "WORKING", "long " * 40), ("s2", None, "")])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "WORKING" in text
    assert "-" in text


def test_colours_only_for_eyes(capsys: pytest.CaptureFixture[str]) -> None:
    """Output into a pipe or a file has none."""
    assert show.word("WORKING") == "WORKING"
    show.json_line({"é": b"\x00"})
    assert capsys.readouterr().out == '{"é":"AA=="}\n'
