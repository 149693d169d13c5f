"""PyWhatsWeb 0.5's enums: see `pywhatsweb.legacy.enums`."""

from pywhatsweb.legacy.enums import *  # noqa: F403 - the same names at the place where 0.5 had them
