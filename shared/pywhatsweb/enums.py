"""PyWhatsWeb 0.5's enums, event payloads and constants, in the module where it had all of them."""

from pywhatsweb.legacy.constants import *  # noqa: F403 - the same names at the place where 0.5 had them
from pywhatsweb.legacy.enums import *  # noqa: F403
from pywhatsweb.legacy.payloads import *  # noqa: F403
