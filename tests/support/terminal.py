"""A real terminal: tmux, 80 columns wide, its screen as text or as a picture."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from tests.support.waiting import block_until

COLUMNS, LINES = 80, 50
_CELL = 4
"""Pixels: a character is one cell wide and two high."""
_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")
_DEFAULT = (200, 0)
"""Brightness of letters and ground where nothing else is said: a dark terminal."""
_KNOWN = {"16": 0, "231": 255}


class Terminal:
    """Made by `terminal`."""

    def __init__(self, socket: str, environ: Mapping[str, str]) -> None:
        self._socket = socket
        self._environ = dict(environ)
        self._program = shutil.which("tmux") or "tmux"

    def tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, "-L", self._socket, "-f", "/dev/null", "-u", *arguments],
            capture_output=True, text=True, timeout=20, check=True, env=self._environ,
        )  # fmt: skip
        return done.stdout

    def type(self, line: str) -> None:
        """A line, and the key at its end."""
        self.tmux("send-keys", "-t", "pww", "-l", line)
        self.tmux("send-keys", "-t", "pww", "Enter")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.tmux("send-keys", "-t", "pww", "C-c")

    def clear(self) -> None:
        self.tmux("send-keys", "-t", "pww", "-R")
        self.tmux("clear-history", "-t", "pww")

    def screen(self, *, colours: bool = False) -> str:
        """What is on it, with what has scrolled away."""
        return self.tmux("capture-pane", "-t", "pww", "-p", "-S", "-2000", *(["-e"] if colours else []))

    def run(self, *command: str | Path, timeout: float = 60) -> tuple[str, int]:
        """One command, to its end: what it printed, and its exit code."""
        self.clear()
        mark = secrets.token_hex(4)
        self.type(f"{shlex.join(map(str, command))}; echo {mark[:4]}''{mark[4:]}=$?")
        return self.ended(mark, timeout)

    def ended(self, mark: str, timeout: float = 60) -> tuple[str, int]:
        block_until(lambda: f"{mark}=" in self.screen(), timeout, message="the command ends")
        text, _, rest = self.screen().partition(f"{mark}=")
        return text.partition("\n")[2], int(rest.split()[0])

    def picture(self) -> Image.Image:
        """As an eye sees it: half blocks and their colours, the rest of the letters as ground."""
        rows = self.screen(colours=True).split("\n")
        image = Image.new("L", (COLUMNS * _CELL, 2 * len(rows) * _CELL), _DEFAULT[1])
        for y, row in enumerate(rows):
            letter, ground = _DEFAULT
            x, at = 0, 0
            while at < len(row):
                if found := _SEQUENCE.match(row, at):
                    letter, ground = _colours(found[1], letter, ground)
                    at = found.end()
                    continue
                upper = letter if row[at] in "▀█" else ground
                lower = letter if row[at] in "▄█" else ground
                for half, shade in enumerate((upper, lower)):
                    left, top = x * _CELL, (2 * y + half) * _CELL
                    image.paste(shade, (left, top, left + _CELL, top + _CELL))
                x, at = x + 1, at + 1
        return image


def _colours(parameters: str, letter: int, ground: int) -> tuple[int, int]:
    """After a sequence of SGR parameters."""
    parts = parameters.split(";")
    while parts:
        one = parts.pop(0)
        if one in ("", "0"):
            letter, ground = _DEFAULT
        elif one == "39":
            letter = _DEFAULT[0]
        elif one == "49":
            ground = _DEFAULT[1]
        elif one in ("38", "48") and parts[:1] == ["5"]:
            shade = _KNOWN.get(parts[1], 128)
            parts = parts[2:]
            letter, ground = (shade, ground) if one == "38" else (letter, shade)
    return letter, ground


@contextlib.contextmanager
def terminal(environ: Mapping[str, str]) -> Iterator[Terminal]:
    """A shell in a terminal of its own."""
    found = Terminal(f"pww-{secrets.token_hex(6)}", {**environ, "LC_ALL": "C.UTF-8", "PS1": "$ "})
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    found.tmux("new-session", "-d", "-s", "pww", *size, "env TERM=screen-256color sh")
    try:
        yield found
    finally:
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            found.tmux("kill-server")
