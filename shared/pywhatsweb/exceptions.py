"""PyWhatsWeb 0.5's exceptions: see `pywhatsweb.legacy.exceptions`."""

from pywhatsweb.legacy.exceptions import *  # noqa: F403 - the same names at the place where 0.5 had them
