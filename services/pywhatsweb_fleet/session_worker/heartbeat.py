"""Finding a session that says WORKING and is silent.

By the flow of events: whatever the engine reports is a sign of WhatsApp. Without one for long, the session asks
WhatsApp something cheap that only its server can answer (is our own number registered?), twice. Without an answer
the link is given up and opened anew, and an alert tells it. Two sends in a row without an acknowledgement count too.
"""

from __future__ import annotations

import asyncio
import time

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, EngineSession, Person

TRIES = 2
UNACKNOWLEDGED = 2
"""Sends in a row without an acknowledgement that make a link suspect."""

_NO_ANSWER = frozenset(("E_ACK_TIMEOUT", "E_TIMEOUT", "E_CONNECTION_LOST"))


class Heartbeat:
    """Of one session: when there was a sign last."""

    __slots__ = ("_every_s", "_sign_at", "_timeout_s")

    def __init__(self, every_s: float, timeout_s: float) -> None:
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._sign_at = time.monotonic()

    def sign(self) -> None:
        """The engine reported something, or an answer came."""
        self._sign_at = time.monotonic()

    def silent_s(self) -> float:
        return time.monotonic() - self._sign_at

    def due(self) -> bool:
        """Whether it was silent for so long that WhatsApp should be asked."""
        return 0 < self._every_s <= self.silent_s()

    async def answered(self, link: EngineSession, me: Person | None) -> bool:
        """Whether WhatsApp answers. A refusal is an answer, and so is that an engine cannot ask."""
        number = me.pn if me is not None else None
        if number is None:
            return True
        question = Action(action="check_numbers", id="heartbeat", to=None, content={"numbers": [number]})
        try:
            async with asyncio.timeout(self._timeout_s):
                await link.act(question)
        except TimeoutError:
            return False
        except EngineError as error:
            if error.uncertain or error.code in _NO_ANSWER:
                return False
        self.sign()
        return True
