"""The simulated engine: sessions without Node, without a phone and without WhatsApp."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pywhatsweb import __version__
from pywhatsweb_fleet.session_worker.engines.port import EngineError, OpenSpec, SessionHost
from pywhatsweb_fleet.session_worker.engines.simulated.device import read_credentials
from pywhatsweb_fleet.session_worker.engines.simulated.link import CAPABILITIES, SimulatedSession
from pywhatsweb_fleet.session_worker.engines.simulated.settings import SimulatedSettings, read_settings
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp, now_ms


class SimulatedEngine:
    """An `Engine` in pure Python.

    ``whatsapp`` is shared by passing it to several engines; without one, the engine makes its own, with
    ``state_file``. ``defaults`` are the settings of every session (as `SimulatedSettings`, or a mapping of its
    fields); a session's own ``settings["simulated"]`` is laid over them. ``clock`` is monotonic, in seconds.
    Raises EngineError("E_INVALID_FIELD").
    """

    name = "simulated"
    version = __version__
    capabilities = tuple(sorted(CAPABILITIES))

    def __init__(
        self,
        *,
        whatsapp: SimulatedWhatsApp | None = None,
        state_file: Path | None = None,
        defaults: SimulatedSettings | Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(defaults, SimulatedSettings):
            defaults = read_settings({"simulated": defaults}, SimulatedSettings())
        self._owns_whatsapp = whatsapp is None
        self.whatsapp = whatsapp or SimulatedWhatsApp(state_file=state_file)
        self._defaults = defaults
        self._clock = clock
        self._sessions: dict[SimulatedSession, None] = {}
        self._started = False
        self._lease_until: float | None = None
        self._lease_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._started = True

    async def open(self, spec: OpenSpec, host: SessionHost) -> SimulatedSession:
        """Raises EngineError: E_ENGINE_UNAVAILABLE before `start`, else E_INVALID_FIELD, E_MISSING_FIELD or
        E_WHATSAPP_BAD_SESSION."""
        if not self._started:
            raise EngineError("E_ENGINE_UNAVAILABLE", "the simulated engine is not started")
        settings = read_settings(spec.settings, self._defaults)
        if spec.creds is not None:
            read_credentials(spec.creds)
        if spec.creds is None and spec.pairing.method == "code" and not spec.pairing.phone_number:
            raise EngineError("E_MISSING_FIELD", "pairing by code needs a phone_number")
        self.whatsapp.refresh()
        account = self.whatsapp.account(spec.session)
        account.load_script(settings)
        if spec.creds is None and spec.pairing.phone_number:
            account.number = spec.pairing.phone_number
        link = SimulatedSession(self, account, spec, settings, host)
        self._sessions[link] = None
        self.whatsapp.agenda.after(0, self._begin, link, spec)
        return link

    def _begin(self, link: SimulatedSession, spec: OpenSpec) -> None:
        if self.lease_holds():
            link.begin(spec)

    def lease(self, valid_ms: int) -> None:
        """As the port says. Before the first call nothing lapses."""
        self._lease_until = self._clock() + valid_ms / 1000
        timer = self._lease_timer
        if timer is not None:
            if timer.when() <= asyncio.get_running_loop().time() + valid_ms / 1000:
                return
            timer.cancel()
        self._watch(valid_ms / 1000)

    def lease_holds(self) -> bool:
        """False once it lapsed, and then every link is cut.

        Asked before each send: in a process that was stopped and goes on, timers run late.
        """
        until = self._lease_until
        if until is None or self._clock() < until:
            return True
        for link in list(self._sessions):
            link.cut("lease_lapsed")
        return False

    def _watch(self, delay: float) -> None:
        self._lease_timer = asyncio.get_running_loop().call_later(delay, self._lease_due)

    def _lease_due(self) -> None:
        self._lease_timer = None
        if self.lease_holds() and self._lease_until is not None:
            self._watch(max(self._lease_until - self._clock(), 0.001))

    def forget(self, link: SimulatedSession) -> None:
        """A link closed."""
        self._sessions.pop(link, None)

    def now_ms(self) -> int:
        return now_ms()

    async def stop(self) -> None:
        """As the port says; immediate."""
        self._started = False
        for link in list(self._sessions):
            link.cut("stopped")
        if self._lease_timer is not None:
            self._lease_timer.cancel()
            self._lease_timer = None
        if self._owns_whatsapp:
            self.whatsapp.close()
