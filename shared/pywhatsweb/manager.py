"""PyWhatsWeb 0.5's manager: see `pywhatsweb.legacy.manager`."""

from pywhatsweb.legacy.manager import WhatsWebManager

__all__ = ["WhatsWebManager"]
