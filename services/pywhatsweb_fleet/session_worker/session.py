"""One owned session: its link to WhatsApp, from the taking of ownership until it is given back.

It is the engine's `SessionHost`. Everything it tells goes through `FencedEvents`, so the moment another worker owns
the session the broker refuses it, and the link is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog

from pywhatsweb.contracts.events import SessionStatus
from pywhatsweb_fleet.session_worker import heartbeat, reconnect
from pywhatsweb_fleet.session_worker.announcing import Announcer
from pywhatsweb_fleet.session_worker.attaching import Attaching
from pywhatsweb_fleet.session_worker.audience import Audience
from pywhatsweb_fleet.session_worker.calls import Calls
from pywhatsweb_fleet.session_worker.cold import ColdHold
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.lane import Lane
from pywhatsweb_fleet.session_worker.pacing import Pacer, ack_timeout_of, pacing_of
from pywhatsweb_fleet.session_worker.reports import Reports
from pywhatsweb_fleet.session_worker.sending import Sending
from pywhatsweb_fleet.session_worker.sent import SentBook
from pywhatsweb_fleet.session_worker.telling import Telling
from pywhatsweb_fleet.session_worker.units import Units
from pywhatsweb_fleet.session_worker.vault import Vault
from pywhatsweb_fleet.storage.faults import Fenced, Unsealable
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Stored

log = structlog.get_logger(__name__)

_GRACE_S = 1.0
"""For what is being sent while a session is handed over."""
_SETTLE_S = 2.0
_CLOSE_S = 5.0
LOOK_EVERY_S = 10.0
"""How often it is looked at whether an alert begins or ends."""
_PAIRING = (SessionStatus.SCAN_QR_CODE, SessionStatus.PAIRING_CODE)

Finished = Callable[["OwnedSession", registry.Wanted | None], Awaitable[None]]


class OwnedSession:
    """Made when ownership was taken; ``finished(session, wanted)`` is called when it ends for good.

    ``wanted`` then is what the session's record should say from now on (None: leave it). ``of_the_dead``: the owner
    before did not give it back, so that it may be frozen only.
    """

    def __init__(
        self,
        deps: Deps,
        engine: port.Engine,
        key: tuple[str, str],
        record: registry.SessionRecord,
        *,
        tenant: registry.TenantRecord,
        epoch: int,
        of_the_dead: bool = False,
        connect_slot: Callable[[], Awaitable[None]],
        lost: Callable[[OwnedSession], None],
        finished: Finished,
    ) -> None:
        self.key = key
        self.record = record
        self.epoch = epoch
        self._deps = deps
        self._engine = engine
        self._connect_slot = connect_slot
        self._lost = lost
        self._finished = finished
        self.events = FencedEvents(deps.publisher, key, tenant, epoch=epoch, on_lost=self._on_lost)
        self._vault = Vault(deps, key, epoch)
        book = SentBook()
        pacer = Pacer(pacing_of(deps.settings, record), time.monotonic())
        attaching = Attaching(self.events, deps.shelf, deps.links)
        cold = ColdHold(deps, self.events)
        self._telling = Telling(deps, self.events, book, attaching, cold)
        audience = Audience(deps, self.events, engine)
        self._sending = Sending(
            deps, self.events, self._telling, attaching, pacer, audience=audience, link=lambda: self._link
        )
        self._sending.ack_timeout_s = ack_timeout_of(deps.settings, record)
        self.lane = Lane(
            deps,
            self.events,
            self._sending.perform,
            head=self._look_at_head,
            durable=self._flush,
            settled=self._telling.settled,
        )
        self._reports = Reports(deps, self.events, book, self._telling, self.lane.looked)
        self._reports.post_files = record.settings.get("post_files") is not False
        self.told = Announcer(deps, self.events, cold, engine=engine.name, epoch=epoch)
        self._heart = heartbeat.Heartbeat(deps.settings.heartbeat_s, deps.settings.heartbeat_timeout_s)
        self._watch = heartbeat.Watch(
            deps, self._heart, self._telling, self.told, present=self._is_present, give_up=self._give_up
        )
        self._calls = Calls(self.events, lambda: self.link, record.settings.get("calls"))
        self._link: port.EngineSession | None = None
        self._units: Units | None = None
        self._tries = 0
        self._opened_at = 0.0
        self._forgiving_until = time.monotonic() + reconnect.FROZEN_S if of_the_dead else 0.0
        self._look_at = 0.0
        self._closing = False
        self._putting_down = False
        self._job: asyncio.Task[None] | None = None
        self._announced: asyncio.Task[None] | None = None
        self._log = log.bind(tenant=key[0], session=key[1], epoch=epoch)

    @property
    def status(self) -> SessionStatus:
        return self.told.status

    @property
    def link(self) -> port.EngineSession | None:
        """While it is WORKING here."""
        return self._link if self.status is SessionStatus.WORKING and not self._closing else None

    # Opening and closing, by the worker.

    def start(self) -> None:
        """Fences the credentials and opens the link."""
        self._do(self._open(0.0))

    async def close(self, how: port.CloseHow, status: SessionStatus | None) -> None:
        """Ends it here: with ``status`` that is told, unless it had an end; without, ownership goes on elsewhere.

        Returns when what was told is in the stream (or cannot be put there): the epoch may be given back then.
        """
        self._closing = True
        self._cancel_jobs()
        self.lane.close()
        if self._link is not None and how == "stop":
            await self.lane.stop(_GRACE_S)
        link, self._link = self._link, None
        if link is not None:
            # Not cancelled when it takes longer: the engine ends one that does not close.
            await asyncio.wait((asyncio.ensure_future(link.close(how)),), timeout=_CLOSE_S)
        await self.lane.stop()
        if how != "handover" and self._units is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._units.flushed(), _SETTLE_S)
        if self._units is not None:
            self._units.close()
        if status is not None and not self.told.status.final:
            await self.told.change(status)
        await self.told.settled(_SETTLE_S)
        await self.events.settled(_SETTLE_S)

    def _cancel_jobs(self) -> None:
        self._watch.stop()
        if self._job is not None:
            self._job.cancel()

    def cut(self) -> None:
        """Ownership is gone: nothing more may be sent or told."""
        self._closing = True
        self.lane.close()
        self.told.stop()
        self._cancel_jobs()
        if self._units is not None:
            self._units.close()
        link, self._link = self._link, None
        if link is not None:
            asyncio.ensure_future(link.close("handover"))  # noqa: RUF006 - the engine bounds it

    async def restart(self, record: registry.SessionRecord) -> None:
        """The record has a new generation: the link is closed and opened with its settings."""
        self.record = record
        self._sending.pacer = Pacer(pacing_of(self._deps.settings, record), time.monotonic())
        self._sending.ack_timeout_s = ack_timeout_of(self._deps.settings, record)
        self._calls.wanted = record.settings.get("calls")
        self._reports.post_files = record.settings.get("post_files") is not False
        link, self._link = self._link, None
        self.lane.close()
        if link is not None:
            await self._put_down(link, "stop")
        self._tries = 0
        self._do(self._open(0.0))

    async def logout(self) -> bool:
        """Unlinks the device at WhatsApp, if there is one and it can be reached, and forgets its credentials.

        False when another worker owns the session now.
        """
        if self._link is None or self.status is not SessionStatus.WORKING:
            await self._open_for_logout()
        await self.close("logout", None)
        await self._wipe()
        return await self.told.end(SessionStatus.LOGGED_OUT, reason="logged_out")

    async def _open_for_logout(self) -> None:
        if await self._vault.load() is None:
            return
        if self._link is None:
            self._do(self._open(0.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await self.told.arrived.wait()

    def tick(self) -> None:
        """Once a second: a WORKING session that has been silent for long is asked whether it lives."""
        if self._link is None or self._closing or self.status is not SessionStatus.WORKING:
            return
        self._watch.look(self._link)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            if news := self.told.news(self._telling.figures.readings()):
                self._tell(self.told.tell(news))

    def _is_present(self, link: port.EngineSession) -> bool:
        return self._link is link and not self._closing

    def _give_up(self, link: port.EngineSession) -> None:
        """It says WORKING and is silent: opened anew."""
        self._link = None
        self.lane.close()
        self._do(self._close_and_retry(link))

    # The engine's calls (SessionHost).

    def state(self, change: port.StateChange) -> None:
        if self._closing or (self._putting_down and change.state == "closed"):
            return
        self._heart.sign()
        if change.state == "qr":
            self._tell(self.told.qr(change))
        elif change.state == "pairing_code":
            self._tell(self.told.pairing_code(change, self.record.pairing.phone_number))
        elif change.state == "open":
            self._opened_at = time.monotonic()
            self.told.me = self._telling.me = change.me
            self._tell(self.told.change(SessionStatus.WORKING))
            self.lane.open()
        elif change.state == "closed":
            self._on_closed(change)

    def event(self, unit: port.EventUnit) -> None:
        self._heart.sign()
        if unit.kind == "call":
            self._calls.rang(unit.data)
        if self._units is not None:
            self._units.put(unit)

    def keys(self, unit: port.KeysUnit) -> None:
        if self._units is not None:
            self._units.put(unit)

    async def load_keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        return await self._vault.keys(kind, ids)

    # How the link goes.

    async def _open(self, wait_s: float, *, told: bool = True) -> None:
        if wait_s:
            await asyncio.sleep(wait_s)
        await self._connect_slot()
        creds = await self._vault.load()
        if told:
            first = self._tries == 0
            if first:
                await self.told.resume()
            await self.told.change(SessionStatus.STARTING if first else SessionStatus.RECONNECTING)
        keys_kept = self._units is None or self._units.all_durable
        if self._units is not None:
            self._units.close()
        self._units = Units(
            self._reports.store,
            self._vault.write,
            self._committed,
            self._on_units_failed,
            self._deps.metrics.gate_hold.observe,
        )
        self._telling.link_opened(keys_kept=keys_kept)
        pairing = self.record.pairing
        spec = port.OpenSpec(
            session="/".join(self.key),
            incarnation=self.epoch,
            creds=creds,
            pairing=port.Pairing(method=pairing.method, phone_number=pairing.phone_number, code=pairing.code),
            settings={**self.record.settings, **({"proxy": self.record.proxy} if self.record.proxy else {})},
        )
        try:
            self._link = await self._engine.open(spec, self)
        except port.EngineError as error:
            self._log.warning("the engine could not open a link", code=error.code, detail=error.detail)
            self._on_closed(
                port.StateChange(state="closed", reason="engine_error", detail=error.detail, retry=True)
            )

    def _on_closed(self, change: port.StateChange) -> None:
        self._link = None
        self.lane.close()
        reason = change.reason or "engine_error"
        self._log.info("link closed", reason=reason, whatsapp_code=change.whatsapp_code, detail=change.detail)
        end = reconnect.end_of(change, self._tries)
        if change.reason == "replaced" and time.monotonic() < self._forgiving_until:
            self._forgiving_until = (
                0.0  # a former owner that woke in the middle of a login; its lease ends it
            )
            end = None
        if end is not None:
            self._closing = True
            self._do(self._end(end, reason))
            return
        if time.monotonic() - self._opened_at > reconnect.STABLE_AFTER_S and self._opened_at:
            self._tries = 0
        self._tries += 1
        self._opened_at = 0.0
        metrics = self._deps.metrics
        metrics.reconnections.labels(reason, *metrics.who(*self.key)).inc()
        # WhatsApp asks for a new connection right after a pairing: to those who watch, that is still the pairing.
        told = not (change.retry_at_once and self.status in _PAIRING)
        pause_s = reconnect.delay_s(self._tries, at_once=change.retry_at_once)
        metrics.reconnection_delay.observe(pause_s)
        self._do(self._reopen(reason, pause_s, told=told))

    async def _reopen(self, reason: str, wait_s: float, *, told: bool) -> None:
        # What the old link handed over is made durable first: the new one starts from it (a pairing, above all).
        if self._units is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._units.flushed(), 30.0)
        if told:
            error = reconnect.trouble_of(reason)
            await self.told.change(SessionStatus.RECONNECTING, reason=reason, error=error)
        await self._open(wait_s, told=told)

    async def _end(self, end: reconnect.End, reason: str) -> None:
        if self._units is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._units.flushed(), _SETTLE_S)
        if end.wipe:
            await self._wipe()
        # WhatsApp may have replaced this link by that of a new owner: then the session has not ended at all.
        if not await self.told.end(end.status, reason=reason, error=end.error):
            self._on_lost()
            return
        if end.error is not None:
            self._deps.metrics.errors.labels(end.error, *self._telling.who).inc()
        await self.events.settled(_SETTLE_S)
        done = False
        while not done:
            try:
                await self._finished(self, "stopped")
                done = True
            except (BrokerUnavailable, ApiError):
                await asyncio.sleep(1.0)

    async def _wipe(self) -> None:
        if self._units is not None:
            self._units.close()
        await self._vault.wipe()

    # Durable units.

    def _committed(self, unit: int) -> None:
        if self._link is not None and unit:
            self._link.committed(unit)

    async def _flush(self) -> None:
        if self._units is not None:
            await self._units.flushed()

    async def _look_at_head(self, heads: Sequence[Stored]) -> None:
        """What is queued first may have been sent by an earlier owner or over an earlier link: the record may know."""
        await self._reports.look_up(self._telling.remember_heads(heads))

    def _on_units_failed(self, error: Exception) -> None:
        if isinstance(error, Fenced):
            self._on_lost()
            return
        # Not made durable, so not acknowledged: opened again, WhatsApp tells it again.
        self._log.error("what came in could not be made durable", exc_info=error)
        link, self._link = self._link, None
        if link is not None:
            self._do(self._close_and_retry(link))

    def _close_and_retry(self, link: port.EngineSession) -> Coroutine[Any, Any, None]:
        # Begun at once: this job may be cancelled before its first step, and nobody else knows the link any more.
        closing = asyncio.ensure_future(self._put_down(link, "handover"))

        async def retry() -> None:
            await asyncio.shield(closing)
            self._on_closed(port.StateChange(state="closed", reason="engine_error", retry=True))

        return retry()

    async def _put_down(self, link: port.EngineSession, how: port.CloseHow) -> None:
        """Closes a link of our own accord: its farewell is no reason to open it again."""
        self._putting_down = True
        try:
            await link.close(how)
        finally:
            self._putting_down = False

    def _on_lost(self) -> None:
        self._deps.metrics.epoch_refused.inc()
        self._lost(self)

    # Tasks: at most one job (open, reopen, end) and a chain of announcements in order.

    def _do(self, work: Awaitable[None]) -> None:
        if self._job is not None and self._job is not asyncio.current_task():
            self._job.cancel()
        job = self._job = asyncio.ensure_future(self._guard(work))
        if isinstance(work, Coroutine):
            job.add_done_callback(lambda _: work.close())  # it may have been cancelled before it began

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Fenced:
            self._on_lost()
        except Unsealable:
            await self._wait_for_key()
        except Exception:  # noqa: BLE001 - one session's failure is nobody else's
            self._log.exception("a session's work failed")
            await asyncio.sleep(5)
            if not self._closing:
                self._on_closed(port.StateChange(state="closed", reason="engine_error", retry=True))

    async def _wait_for_key(self) -> None:
        """The master key that sealed the credentials is not here: a wrong setting must not end sessions."""
        reason = "credentials_unreadable"
        self._log.error("the credentials cannot be read; is a master key missing?")
        if self.status is not SessionStatus.RECONNECTING:
            self._deps.metrics.errors.labels("E_CREDENTIALS_UNREADABLE", *self._telling.who).inc()
            await self.told.alert(reason, "E_CREDENTIALS_UNREADABLE")
        self._tries += 1
        await self.told.change(SessionStatus.RECONNECTING, reason=reason, error=reconnect.trouble_of(reason))
        if not self._closing:
            self._do(self._open(reconnect.SLOW_S))

    def _tell(self, work: Awaitable[None]) -> None:
        before = self._announced

        async def chained() -> None:
            if before is not None:
                with contextlib.suppress(Exception):
                    await before
            try:
                await work
            except Exception as error:  # noqa: BLE001 - the next announcement must not wait for ever
                self._log.warning("a change of state was not told", error=type(error).__name__)

        self._announced = asyncio.ensure_future(chained())
