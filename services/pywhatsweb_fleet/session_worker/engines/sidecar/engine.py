"""The engine whose sessions live in a Node sidecar (Baileys; whatsapp-web.js)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import structlog

from pywhatsweb_fleet.session_worker.engines.port import EngineError, OpenSpec, SessionHost
from pywhatsweb_fleet.session_worker.engines.sidecar.channel import Channel
from pywhatsweb_fleet.session_worker.engines.sidecar.child import Launch
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import (
    FrameTooLarge,
    UnknownFrame,
    Unsendable,
    check_sendable,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import (
    Config,
    HelloSidecar,
    HelloWorker,
    Lease,
    Log,
    Open,
    Received,
    SessionFrame,
    Stats,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.process import SILENCE_S, SidecarProcess
from pywhatsweb_fleet.session_worker.engines.sidecar.relay import log_said
from pywhatsweb_fleet.session_worker.engines.sidecar.session import SidecarSession
from pywhatsweb_runtime import lifecycle

STOP_S = 4.0
"""For an orderly shutdown; with the kill it stays within the port's 5 s."""
LEASE_GRACE_S = 1.0
"""A sidecar that still has sessions so long after the lease lapsed hangs, and is killed."""
LEAST_UNITS = 1024


class SidecarEngine:
    """An `Engine`; ``name`` is the sidecar's own name for it.

    ``config`` goes with the hello, ``worker`` is this worker's id. ``max_waiting_bytes`` bounds what hosts hold
    uncommitted over all sessions: beyond it the engine stops reading from the sidecar.
    """

    def __init__(
        self,
        name: str,
        *,
        launch: Launch,
        config: Config,
        worker: str,
        log: structlog.stdlib.BoundLogger | None = None,
        close_timeout_s: float = 15.0,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.name = name
        self.log: structlog.stdlib.BoundLogger = (log or structlog.get_logger(__name__)).bind(engine=name)
        self.close_timeout_s = close_timeout_s
        self.stats: Stats | None = None
        """The sidecar's latest."""
        self._credit = config.credit or 64
        self._max_bytes = max_waiting_bytes
        self._refs = itertools.count(1)
        self._sessions: dict[tuple[str, int], SidecarSession] = {}
        self._channel: Channel | None = None
        self._waiting_units = 0
        self._waiting_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lease_until: float | None = None
        self._lease_timer: asyncio.TimerHandle | None = None
        self._started = False
        self.version = ""
        self.capabilities: tuple[str, ...] = ()
        self._process = SidecarProcess(
            launch,
            HelloWorker(worker=worker, config=config),
            on_frame=self._receive,
            on_up=self._up,
            on_down=self._down,
            log=self.log,
            silence_s=silence_s,
        )

    @property
    def pid(self) -> int | None:
        """The sidecar's process; None while it is down."""
        return self._process.pid

    # -- the port ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Runs the sidecar. Raises EngineError: E_ENGINE_UNAVAILABLE, or E_SIDECAR_PROTOCOL for another version."""
        await self._process.start()
        self._started = True

    async def open(self, spec: OpenSpec, host: SessionHost) -> SidecarSession:
        """As the port says. While the sidecar is being restarted, the session closes at once with engine_error.

        Raises EngineError when the engine was not started, the session is open already or the spec cannot be sent.
        """
        if not self._started:
            raise EngineError("E_ENGINE_UNAVAILABLE", f"the engine {self.name} is not started")
        place = (spec.session, spec.incarnation)
        if place in self._sessions:
            raise EngineError("E_SESSION_ALREADY_EXISTS", "the session is open in this incarnation")
        session = SidecarSession(self, self._channel or Channel(self._receive, _ignore), spec, host)
        self._sessions[place] = session
        if self._channel is None:
            down = "the sidecar is being restarted"
            asyncio.get_running_loop().call_soon(lambda: session.end("engine_error", down, retry=True))
            return session
        frame = Open(
            session=spec.session,
            incarnation=spec.incarnation,
            engine=self.name,
            creds=spec.creds,
            pairing=spec.pairing,
            settings=spec.settings,
        )
        try:
            check_sendable(spec.settings)
            self._channel.put(frame)
        except (FrameTooLarge, Unsendable) as error:
            del self._sessions[place]
            raise EngineError("E_INVALID_FIELD", f"the session cannot be opened: {error}") from error
        return session

    def lease(self, valid_ms: int) -> None:
        """As the port says: the sidecar cuts; one that does not is killed."""
        loop = asyncio.get_running_loop()
        self._lease_until = loop.time() + valid_ms / 1000
        if self._channel is not None:
            self._channel.put(Lease(valid_ms=valid_ms))
        check_at = self._lease_until + LEASE_GRACE_S
        if self._lease_timer is not None:
            if self._lease_timer.when() <= check_at:
                return
            self._lease_timer.cancel()
        self._lease_timer = loop.call_at(check_at, self._check_lease)

    async def stop(self) -> None:
        """As the port says."""
        self._started = False
        if self._lease_timer is not None:
            self._lease_timer.cancel()
            self._lease_timer = None
        if self._channel is not None:
            # Sessions report their end behind whatever waits to be read.
            self._channel.read(on=True)
        await self._process.stop(STOP_S)
        self._close_all("stopped", "the engine was stopped")
        await lifecycle.end(*self._tasks)

    # -- for sessions -----------------------------------------------------------------------------

    def next_ref(self) -> int:
        return next(self._refs)

    def forget(self, session: SidecarSession) -> None:
        """It closed."""
        self._sessions.pop((session.session, session.incarnation), None)

    def burden(self, size: int) -> None:
        """A host was given a unit."""
        self._waiting_units += 1
        self._waiting_bytes += size
        if self._channel is not None and self._started and self._over(1.0):
            self._channel.read(on=False)

    def relieve(self, units: int, size: int) -> None:
        """Hosts committed so many units, of so many bytes."""
        self._waiting_units -= units
        self._waiting_bytes -= size
        if self._channel is not None and not self._channel.reading and not self._over(0.5):
            self._channel.read(on=True)

    def _over(self, share: float) -> bool:
        # Every session may use its credit, and as much again for the key writes of sends.
        units = max(LEAST_UNITS, 2 * self._credit * len(self._sessions))
        return self._waiting_units > units * share or self._waiting_bytes > self._max_bytes * share

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs it beside the reading of frames."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def give_up(self, session: SidecarSession) -> None:
        """It did not close in time: what still holds its link must go, and the sidecar with it."""
        self.log.error("sidecar_close_unanswered", session=session.session)
        session.end("engine_error", "the sidecar did not close it", retry=True)
        self._process.kill()

    # -- the sidecar ------------------------------------------------------------------------------

    def _up(self, channel: Channel, hello: HelloSidecar) -> None:
        if self.name not in hello.engines:
            offered = ", ".join(sorted(hello.engines)) or "none"
            raise EngineError(
                "E_ENGINE_UNAVAILABLE", f"the sidecar has no engine {self.name}, only: {offered}"
            )
        about = hello.engines[self.name]
        self.version, self.capabilities = about.version, about.capabilities
        self._channel = channel
        self._waiting_units = self._waiting_bytes = 0
        if self._lease_until is not None:
            left = self._lease_until - asyncio.get_running_loop().time()
            channel.put(Lease(valid_ms=max(0, int(left * 1000))))

    def _down(self, why: str) -> None:
        self._channel = None
        if self._started:
            self._close_all("engine_error", f"the sidecar ended: {why}")
        else:
            self._close_all("stopped", "the engine was stopped")

    def _close_all(self, reason: Any, detail: str) -> None:
        for session in list(self._sessions.values()):
            session.end(reason, detail, retry=True)

    def _check_lease(self) -> None:
        self._lease_timer = None
        if self._lease_until is None:
            return
        loop = asyncio.get_running_loop()
        late = loop.time() - self._lease_until
        if late < LEASE_GRACE_S:
            self._lease_timer = loop.call_at(self._lease_until + LEASE_GRACE_S, self._check_lease)
        elif self._sessions:
            self.log.error("sidecar_outlived_lease", sessions=len(self._sessions))
            for session in list(self._sessions.values()):
                session.end("lease_lapsed", "the sidecar did not cut it", retry=True)
            self._process.kill()

    def _hand_on(self, session: SidecarSession, frame: SessionFrame, size: int) -> None:
        try:
            session.take(frame, size)
        except Exception:
            # Hosts do not raise; should one, its session pays and the others go on.
            self.log.exception("sidecar_frame_not_taken", session=session.session, frame=type(frame).__name__)
            session.abandon()

    def _receive(self, channel: Channel, frame: Received | UnknownFrame, size: int) -> None:
        if isinstance(frame, SessionFrame):
            session = self._sessions.get((frame.session, frame.incarnation))
            # A frame of another incarnation, or of an open that ended, is dropped.
            if session is not None and channel is self._channel:
                self._hand_on(session, frame, size)
        elif isinstance(frame, Log):
            log_said(self.log, frame.level, frame.event, frame.fields, session=frame.session)
        elif isinstance(frame, Stats):
            self.stats = frame
        elif isinstance(frame, UnknownFrame):
            self.log.warning("sidecar_unknown_frame", frame=frame.type, why=frame.why)


def _ignore(_channel: Channel, _why: str) -> None:
    """A session opened while the sidecar is down has a channel that was never connected."""
