"""A QR code on a terminal: two modules a character, dark on light whatever the terminal's colours are."""

from __future__ import annotations

from pathlib import Path

_BORDER = 4
"""Modules of quiet zone, as ISO/IEC 18004 asks for."""
_INK = "\x1b[38;5;16;48;5;231m"
_PLAIN = "\x1b[0m"
# Upper and lower module dark.
_DARK_ON_LIGHT = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_LIGHT_ON_DARK = {(False, False): "█", (True, False): "▄", (False, True): "▀", (True, True): " "}


def matrix(code: str) -> list[list[bool]]:
    """Rows of modules, True for dark, with the quiet zone."""
    from qrcode import QRCode, constants

    drawn = QRCode(error_correction=constants.ERROR_CORRECT_L, border=_BORDER)
    drawn.add_data(code)
    drawn.make(fit=True)
    return [[bool(module) for module in row] for row in drawn.get_matrix()]


def blocks(code: str, *, colours: bool, light: bool = False) -> str:
    """Lines of half blocks. With colours, black on white; without, as seen on a dark terminal, or a light one."""
    rows = matrix(code)
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    signs = _DARK_ON_LIGHT if colours or light else _LIGHT_ON_DARK
    lines = [
        "".join(signs[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    ]
    return "\n".join(f"{_INK}{line}{_PLAIN}" if colours else line for line in lines)


def save_png(code: str, path: Path) -> None:
    from qrcode import QRCode, constants

    drawn = QRCode(error_correction=constants.ERROR_CORRECT_L, box_size=8, border=_BORDER)
    drawn.add_data(code)
    drawn.make(fit=True)
    with path.open("wb") as file:
        drawn.make_image().save(file)
