"""What each reason of a close leads to."""

from __future__ import annotations

from typing import get_args

import pytest

from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.session_worker import reconnect
from pywhatsweb_fleet.session_worker.engines.port import CloseReason, StateChange

ENDS = {
    "logged_out": (SessionStatus.LOGGED_OUT, "E_SESSION_LOGGED_OUT", True),
    "banned": (SessionStatus.BANNED, "E_WHATSAPP_BANNED", False),
    "replaced": (SessionStatus.REPLACED, "E_SESSION_REPLACED", False),
    "pairing_timeout": (SessionStatus.FAILED, "E_PAIRING_TIMEOUT", False),
    "certificate_refused": (SessionStatus.FAILED, "E_CERTIFICATE_REFUSED", False),
    "multidevice_mismatch": (SessionStatus.FAILED, "E_WHATSAPP_MULTIDEVICE_MISMATCH", True),
}
"""401, 403, 440, no scan in time, a false WhatsApp, 411. All others are opened again."""


def closed(reason: CloseReason, *, retry: bool = True) -> StateChange:
    return StateChange(state="closed", reason=reason, retry=retry)


@pytest.mark.parametrize("reason", get_args(CloseReason))
def test_each_reason_ends_or_opens_again(reason: CloseReason) -> None:
    """As ENDS says, with a code of the catalogue; credentials are removed only when WhatsApp voids them."""
    end = reconnect.end_of(closed(reason))
    assert (None if end is None else tuple(end)) == ENDS.get(reason)
    code = end.error if end is not None else reconnect.trouble_of(reason)
    assert code is None or code in ErrorCode.__members__


def test_a_bad_session_that_stays_is_for_a_person() -> None:
    """500 passes often; after all quick tries it ends the session, which keeps its credentials."""
    found = [reconnect.end_of(closed("bad_session"), tries) for tries in range(reconnect.QUICK_TRIES + 1)]
    assert found[:-1] == [None] * reconnect.QUICK_TRIES
    assert found[-1] == (SessionStatus.FAILED, "E_WHATSAPP_BAD_SESSION", False)


def test_what_an_engine_does_not_retry_ends() -> None:
    """An engine that cannot ever open it; but a worker that lost its lease is not the session's fault."""
    end = reconnect.end_of(closed("engine_error", retry=False))
    assert end is not None
    assert end.error == "E_ENGINE_UNAVAILABLE"
    assert reconnect.end_of(closed("lease_lapsed", retry=False)) is None


def test_delays_double_from_two_seconds_then_stay_slow() -> None:
    """Within a quarter of jitter either way; 515 is at once, but only once."""
    bases = [2, 4, 8, 16, 32, 60, 60, 60]
    for tries, base in enumerate(bases, 1):
        drawn = [reconnect.delay_s(tries) for _ in range(200)]
        assert all(0.75 * base <= each <= 1.25 * base for each in drawn)
        assert len(set(drawn)) > 100, "no two sessions in step"
    assert reconnect.delay_s(1, at_once=True) == 0
    assert reconnect.delay_s(2, at_once=True) > 0
