"""PyWhatsWeb 0.5's models: see `pywhatsweb.legacy.models`."""

from pywhatsweb.legacy.models import *  # noqa: F403 - the same names at the place where 0.5 had them
