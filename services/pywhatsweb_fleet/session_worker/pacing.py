"""Human pacing: how long a session waits before each message, so that it does not look like a machine.

A token bucket bounds the rate (``per_minute`` over time, ``burst`` at once) and a random pause of up to ``jitter_ms``
comes before each message. Waiting costs the session alone: it is a timer, nobody else's lane is held.
"""

from __future__ import annotations

import contextlib
import random

import msgspec

from pywhatsweb_fleet.session_worker.settings import Settings
from pywhatsweb_runtime import registry


class Pacing(msgspec.Struct, frozen=True, omit_defaults=True):
    """0 per minute: no limit."""

    per_minute: float = 0
    burst: int = 1
    jitter_ms: int = 0
    typing: bool = False
    """Show "typing…" before a text, for about as long as a person takes."""


OFF = Pacing()
HUMAN = Pacing(per_minute=20, burst=5, jitter_ms=1500, typing=True)


def pacing_of(settings: Settings, record: registry.SessionRecord) -> Pacing:
    """What the session's own settings ask for, else what the worker's do."""
    wish = record.settings.get("pacing")
    if wish is not None:
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(wish, Pacing)
    if settings.pacing == "auto":
        return OFF if settings.whatsapp_url or record.engine == "simulated" else HUMAN
    return HUMAN if settings.pacing == "human" else OFF


def ack_timeout_of(settings: Settings, record: registry.SessionRecord) -> float:
    """Seconds to wait for WhatsApp's acknowledgement: the session's own wish, else the worker's setting."""
    wish = record.settings.get("ack_timeout_s")
    return float(wish) if isinstance(wish, int | float) and wish > 0 else settings.ack_timeout_s


_TYPING_MS_A_CHARACTER = 45
_TYPING_MAX_MS = 6000


class Pacer:
    """The bucket of one session."""

    __slots__ = ("_at", "_tokens", "pacing")

    def __init__(self, pacing: Pacing, now: float) -> None:
        self.pacing = pacing
        self._tokens = float(pacing.burst)
        self._at = now

    def delay(self, now: float) -> float:
        """Seconds to wait before the next message; takes its token."""
        pacing = self.pacing
        wait = random.random() * pacing.jitter_ms / 1000 if pacing.jitter_ms else 0.0
        if pacing.per_minute <= 0:
            return wait
        rate = pacing.per_minute / 60
        self._tokens = min(float(pacing.burst), self._tokens + (now - self._at) * rate)
        self._at = now
        self._tokens -= 1
        return wait + max(0.0, -self._tokens / rate)

    def typing_ms(self, characters: int) -> int:
        """How long to show "typing…" before a text of so many characters."""
        return min(_TYPING_MAX_MS, 400 + characters * _TYPING_MS_A_CHARACTER) if self.pacing.typing else 0
