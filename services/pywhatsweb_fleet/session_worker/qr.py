"""QR codes as pictures."""

from __future__ import annotations

import base64
import io

import qrcode


def png_data_url(code: str) -> str:
    """``code`` as a PNG in a data URL: about 5 ms and 3 kB, so call it off the event loop."""
    buffer = io.BytesIO()
    picture = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, box_size=6, border=4)
    picture.add_data(code)
    picture.make(fit=True)
    picture.make_image().save(buffer)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
