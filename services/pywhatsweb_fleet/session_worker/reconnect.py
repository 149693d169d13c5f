"""What to do when a link closes: by reason, and how long to wait (ENGINES.md)."""

from __future__ import annotations

import random
from typing import NamedTuple

from pywhatsweb.contracts.events import SessionStatus
from pywhatsweb_fleet.session_worker.engines.port import StateChange

FIRST_S = 2.0
QUICK_TRIES = 5
SLOW_S = 60.0
STABLE_AFTER_S = 60.0
"""A link that held for so long was a good one: the next close counts as the first again."""


class End(NamedTuple):
    """The session stops in this status until somebody starts it again."""

    status: SessionStatus
    error: str | None
    wipe: bool
    """Whether the credentials are void and are removed."""


_ENDS = {
    "logged_out": End(SessionStatus.LOGGED_OUT, "E_SESSION_LOGGED_OUT", True),
    "banned": End(SessionStatus.BANNED, "E_WHATSAPP_BANNED", False),
    "replaced": End(SessionStatus.REPLACED, "E_SESSION_REPLACED", False),
    "pairing_timeout": End(SessionStatus.FAILED, "E_QR_EXPIRED", False),
    "certificate_refused": End(SessionStatus.FAILED, "E_CERTIFICATE_REFUSED", False),
    "multidevice_mismatch": End(SessionStatus.FAILED, "E_SESSION_LOGGED_OUT", True),
}


def end_of(change: StateChange) -> End | None:
    """How the session ends after this close; None: the link is opened again."""
    if change.reason in _ENDS:
        return _ENDS[change.reason]
    if not change.retry and change.reason != "lease_lapsed":
        return End(SessionStatus.FAILED, "E_ENGINE_UNAVAILABLE", False)
    return None


def delay_s(tries: int, *, at_once: bool = False) -> float:
    """Seconds before try number ``tries`` (from 1): 2 s doubling with jitter, after five quick ones about a minute."""
    if at_once and tries <= 1:
        return 0.0
    base = FIRST_S * 2 ** min(tries - 1, QUICK_TRIES - 1) if tries <= QUICK_TRIES else SLOW_S
    return base * random.uniform(0.75, 1.25)
