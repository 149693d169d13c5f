"""PyWhatsWeb 0.5's constants: see `pywhatsweb.legacy.constants`."""

from pywhatsweb.legacy.constants import *  # noqa: F403 - the same names at the place where 0.5 had them
