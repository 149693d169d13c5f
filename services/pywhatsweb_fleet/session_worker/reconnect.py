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
FROZEN_S = 60.0
"""So long after a dead owner one close as "replaced" is taken for its doing: it was frozen, and woke."""


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
    "pairing_timeout": End(SessionStatus.FAILED, "E_PAIRING_TIMEOUT", False),
    "certificate_refused": End(SessionStatus.FAILED, "E_CERTIFICATE_REFUSED", False),
    "multidevice_mismatch": End(SessionStatus.FAILED, "E_WHATSAPP_MULTIDEVICE_MISMATCH", True),
}
_BAD_SESSION = End(SessionStatus.FAILED, "E_WHATSAPP_BAD_SESSION", False)

_TROUBLES: dict[str, str] = {
    "timed_out": "E_CONNECTION_LOST",
    "connection_lost": "E_CONNECTION_LOST",
    "bad_session": "E_WHATSAPP_BAD_SESSION",
    "unavailable": "E_WHATSAPP_UNAVAILABLE",
    "engine_error": "E_ENGINE_ERROR",
    "proxy_failed": "E_PROXY_FAILED",
    "credentials_unreadable": "E_CREDENTIALS_UNREADABLE",
}


def end_of(change: StateChange, tries: int = 0) -> End | None:
    """How the session ends after this close; None: the link is opened again.

    ``tries``: how often it was opened in vain since it last held. WhatsApp's "bad session" (500) passes, or stays: what
    stays through all quick tries is for a person.
    """
    if change.reason in _ENDS:
        return _ENDS[change.reason]
    if change.reason == "bad_session" and tries >= QUICK_TRIES:
        return _BAD_SESSION
    if not change.retry and change.reason != "lease_lapsed":
        return End(SessionStatus.FAILED, "E_ENGINE_UNAVAILABLE", False)
    return None


def trouble_of(reason: str) -> str | None:
    """What is wrong while a link is opened again, by the catalogue; None: nothing is (a restart, a handover)."""
    return _TROUBLES.get(reason)


def delay_s(tries: int, *, at_once: bool = False) -> float:
    """Seconds before try number ``tries`` (from 1): 2 s doubling with jitter, after five quick ones about a minute."""
    if at_once and tries <= 1:
        return 0.0
    base = FIRST_S * 2 ** min(tries - 1, QUICK_TRIES - 1) if tries <= QUICK_TRIES else SLOW_S
    return base * random.uniform(0.75, 1.25)
