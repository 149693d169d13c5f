"""PyWhatsWeb 0.5's session: see `pywhatsweb.legacy.session`."""

from pywhatsweb.legacy.session import Session

__all__ = ["Session"]
