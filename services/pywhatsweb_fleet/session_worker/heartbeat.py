"""Finding a session that says WORKING and is silent.

By the flow of events: whatever the engine reports is a sign of WhatsApp. Without one for long, the session asks
WhatsApp something cheap that only its server can answer (is our own number registered?), twice. Without an answer
the link is given up and opened anew, and an alert tells it. Two sends in a row without an acknowledgement count too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, EngineSession, Person

if TYPE_CHECKING:
    from pywhatsweb_fleet.session_worker.announcing import Announcer
    from pywhatsweb_fleet.session_worker.deps import Deps
    from pywhatsweb_fleet.session_worker.telling import Telling

log = structlog.get_logger(__name__)

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


class Watch:
    """Asks a session that is silent, and gives its link up when it does not answer."""

    def __init__(
        self,
        deps: Deps,
        heart: Heartbeat,
        telling: Telling,
        told: Announcer,
        *,
        present: Callable[[EngineSession], bool],
        give_up: Callable[[EngineSession], None],
    ) -> None:
        """``present``: whether this is still the session's link. ``give_up`` opens another."""
        self._deps = deps
        self._heart = heart
        self._telling = telling
        self._told = told
        self._present = present
        self._give_up = give_up
        self._probe: asyncio.Task[None] | None = None

    def look(self, link: EngineSession) -> None:
        """Once a second, while the session is WORKING."""
        if self._probe is not None and not self._probe.done():
            return
        if self._heart.due() or self._suspect:
            self._probe = asyncio.ensure_future(self._ask(link))

    def stop(self) -> None:
        if self._probe is not None:
            self._probe.cancel()

    @property
    def _suspect(self) -> bool:
        return self._telling.timeouts >= UNACKNOWLEDGED

    async def _ask(self, link: EngineSession) -> None:
        suspect, silent_s = self._suspect, round(self._heart.silent_s())
        for _ in range(TRIES):
            if not suspect and await self._heart.answered(link, self._told.me):
                return
            if not self._present(link):
                return
            log.warning("a session does not answer", silent_s=silent_s)
            if not suspect:
                await self._told.alert("heartbeat_failed", "E_TIMEOUT", silent_seconds=silent_s)
        self._deps.metrics.errors.labels("silent_session", *self._telling.who).inc()
        unacknowledged = self._telling.timeouts
        await self._told.alert(
            "silent_session", "E_TIMEOUT", silent_seconds=silent_s, unacknowledged=unacknowledged
        )
        if self._present(link):
            self._telling.timeouts = 0
            self._heart.sign()
            self._give_up(link)
