"""Bars are for eyes: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import io

import pytest

from pywhatsweb_fleet.cli.progress import progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its words and its share; the line is cleared at the end."""
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress("putting together") as move:
        move(0.5)
    drawn = screen.getvalue()
    assert "putting together" in drawn
    assert "50%" in drawn
    assert drawn.rstrip("\n").endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))


def test_a_script_sees_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither stream has anything of it."""
    with progress("putting together") as move:
        move(2.0)
    assert capsys.readouterr() == ("", "")
