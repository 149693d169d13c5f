"""A QR code drawn: as a PNG for browsers, as text for terminals."""

from __future__ import annotations

import base64
import io
from typing import Any

import qrcode
from qrcode.constants import ERROR_CORRECT_L

_BOX_PIXELS = 8
_BORDER = 4
"""Quiet zone of ISO/IEC 18004, in modules."""


def _code(text: str, border: int) -> qrcode.QRCode[Any]:
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_L, box_size=_BOX_PIXELS, border=border)
    code.add_data(text)
    code.make(fit=True)
    return code


def png_data_url(text: str) -> str:
    """``data:image/png;base64,…``"""
    image = io.BytesIO()
    _code(text, _BORDER).make_image().save(image)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()


def terminal_text(text: str) -> str:
    """Half blocks, two modules a character in height; light on dark, as terminals mostly are."""
    drawn = io.StringIO()
    _code(text, 2).print_ascii(out=drawn, invert=True)
    return drawn.getvalue()
