"""One owned session: its link to WhatsApp, from the taking of ownership until it is given back.

It is the engine's `SessionHost`. Everything it tells goes through `FencedEvents`, so the moment another worker owns
the session the broker refuses it, and the link is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from sqlalchemy import Connection

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import SessionStatus, timestamp
from pywhatsweb_fleet.session_worker import reconnect
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.lane import Lane
from pywhatsweb_fleet.session_worker.outcomes import error_of
from pywhatsweb_fleet.session_worker.pacing import HUMAN, OFF, Pacer, Pacing
from pywhatsweb_fleet.session_worker.qr import png_data_url
from pywhatsweb_fleet.session_worker.reports import Reports
from pywhatsweb_fleet.session_worker.sending import Sending
from pywhatsweb_fleet.session_worker.sent import SentBook
from pywhatsweb_fleet.session_worker.units import Units
from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.faults import Fenced, StorageUnavailable
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_runtime import registry

log = structlog.get_logger(__name__)

_PAIRING = (SessionStatus.SCAN_QR_CODE, SessionStatus.PAIRING_CODE)

Finished = Callable[["OwnedSession", registry.Wanted | None], Awaitable[None]]


class OwnedSession:
    """Made when ownership was taken; ``finished(session, wanted)`` is called when it ends for good.

    ``wanted`` then is what the session's record should say from now on (None: leave it).
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
        connect_slot: Callable[[], Awaitable[None]],
        lost: Callable[[OwnedSession], None],
        finished: Finished,
    ) -> None:
        self.key = key
        self.record = record
        self.epoch = epoch
        self.status = SessionStatus.STARTING
        self.me: port.Person | None = None
        self._deps = deps
        self._engine = engine
        self._connect_slot = connect_slot
        self._lost = lost
        self._finished = finished
        self.events = FencedEvents(deps.publisher, key, tenant, epoch=epoch, on_lost=self._on_lost)
        book = SentBook()
        pacer = Pacer(self._pacing(), time.monotonic())
        self._sending = Sending(deps, self.events, book, pacer, link=lambda: self._link, flushed=self._flush)
        self._reports = Reports(deps, self.events, book, self._sending)
        self.lane = Lane(deps, self.events, self._sending.perform)
        self._link: port.EngineSession | None = None
        self._units: Units | None = None
        self._tries = 0
        self._opened_at = 0.0
        self._closing = False
        self._job: asyncio.Task[None] | None = None
        self._announced: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        """Set while the session is WORKING or at an end."""
        self._log = log.bind(tenant=key[0], session=key[1], epoch=epoch)

    # Opening and closing, by the worker.

    def start(self) -> None:
        """Fences the credentials and opens the link."""
        self._do(self._open(0.0))

    async def close(self, how: port.CloseHow, status: SessionStatus | None) -> None:
        """Ends it here: with ``status`` that is told; without, ownership goes on elsewhere and nothing is said."""
        self._closing = True
        if self._job is not None:
            self._job.cancel()
        self.lane.close()
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(link.close(how), 5.0)
        await self.lane.stop()
        if how != "handover" and self._units is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._units.flushed(), 2.0)
        if self._units is not None:
            self._units.close()
        if status is not None:
            await self._change(status)

    def cut(self) -> None:
        """Ownership is gone: nothing more may be sent or told."""
        self._closing = True
        self.lane.close()
        if self._job is not None:
            self._job.cancel()
        if self._units is not None:
            self._units.close()
        link, self._link = self._link, None
        if link is not None:
            asyncio.ensure_future(link.close("handover"))  # noqa: RUF006 - the engine bounds it

    async def restart(self, record: registry.SessionRecord) -> None:
        """The record has a new generation: the link is closed and opened with its settings."""
        self.record = record
        self._sending.pacer = Pacer(self._pacing(), time.monotonic())
        link, self._link = self._link, None
        self.lane.close()
        if link is not None:
            await link.close("stop")
        self._tries = 0
        self._do(self._open(0.0))

    async def logout(self) -> None:
        """Unlinks the device at WhatsApp, if there is one and it can be reached, and forgets its credentials."""
        if self._link is None or self.status is not SessionStatus.WORKING:
            await self._open_for_logout()
        await self.close("logout", None)
        await self._wipe()
        await self._change(SessionStatus.LOGGED_OUT, reason="logged_out")

    async def _open_for_logout(self) -> None:
        if await self._load() is None:
            return
        if self._link is None:
            self._do(self._open(0.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await self._arrived.wait()

    # The engine's calls (SessionHost).

    def state(self, change: port.StateChange) -> None:
        if self._closing:
            return
        if change.state == "qr":
            self._tell(self._qr(change))
        elif change.state == "pairing_code":
            self._tell(self._pairing_code(change))
        elif change.state == "open":
            self.me = change.me
            self._opened_at = time.monotonic()
            self._sending.me = change.me
            self._tell(self._change(SessionStatus.WORKING))
            self.lane.open()
        elif change.state == "closed":
            self._on_closed(change)

    def event(self, unit: port.EventUnit) -> None:
        if self._units is not None:
            self._units.put(unit)

    def keys(self, unit: port.KeysUnit) -> None:
        if self._units is not None:
            self._units.put(unit)

    async def load_keys(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        try:
            return await self._deps.store.read(
                credentials.get_keys, self._deps.keyring, *self.key, kind, list(ids)
            )
        except StorageUnavailable as error:
            raise port.EngineError("E_STORAGE_UNAVAILABLE", str(error)) from error

    # How the link goes.

    async def _open(self, wait_s: float, *, told: bool = True) -> None:
        if wait_s:
            await asyncio.sleep(wait_s)
        await self._connect_slot()
        creds = await self._load()
        if told:
            await self._change(SessionStatus.STARTING if self._tries == 0 else SessionStatus.RECONNECTING)
        if self._units is not None:
            self._units.close()
        self._units = Units(self._reports.store, self._write_keys, self._committed, self._on_units_failed)
        self._sending.link_opened()
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

    async def _load(self) -> bytes | None:
        """The device's record, from a database that refuses older epochs from now on."""
        pause = 0.5
        while True:
            try:
                return await self._deps.group.submit(
                    _fence_and_load, self._deps.keyring, *self.key, self.epoch
                )
            except StorageUnavailable:
                self._log.warning("a session waits for the database")
                await asyncio.sleep(pause)
                pause = min(5.0, 2 * pause)

    def _on_closed(self, change: port.StateChange) -> None:
        self._link = None
        self.lane.close()
        reason = change.reason or "engine_error"
        self._log.info("link closed", reason=reason, whatsapp_code=change.whatsapp_code, detail=change.detail)
        end = reconnect.end_of(change)
        if end is not None:
            self._closing = True
            self._do(self._end(end, reason))
            return
        if time.monotonic() - self._opened_at > reconnect.STABLE_AFTER_S and self._opened_at:
            self._tries = 0
        self._tries += 1
        self._opened_at = 0.0
        self._deps.metrics.reconnections.labels(reason).inc()
        # WhatsApp asks for a new connection right after a pairing: to those who watch, that is still the pairing.
        told = not (change.retry_at_once and self.status in _PAIRING)
        self._do(
            self._reopen(reason, reconnect.delay_s(self._tries, at_once=change.retry_at_once), told=told)
        )

    async def _reopen(self, reason: str, wait_s: float, *, told: bool) -> None:
        # What the old link handed over is made durable first: the new one starts from it (a pairing, above all).
        if self._units is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._units.flushed(), 30.0)
        if told:
            await self._change(SessionStatus.RECONNECTING, reason=reason)
        await self._open(wait_s, told=told)

    async def _end(self, end: reconnect.End, reason: str) -> None:
        if end.wipe:
            await self._wipe()
        await self._change(end.status, reason=reason, error=end.error)
        await self._finished(self, "stopped")

    async def _wipe(self) -> None:
        if self._units is not None:
            self._units.close()
        with contextlib.suppress(StorageUnavailable, Fenced):
            await self._deps.group.submit(credentials.wipe, *self.key, self.epoch)

    # Durable units.

    def _committed(self, unit: int) -> None:
        if self._link is not None and unit:
            self._link.committed(unit)

    async def _flush(self) -> None:
        if self._units is not None:
            await self._units.flushed()

    async def _write_keys(self, units: Sequence[port.KeysUnit]) -> None:
        creds = next((unit.creds for unit in reversed(units) if unit.creds is not None), None)
        rows = [row for unit in units for row in unit.rows]
        write = credentials.Write(self.key[0], self.key[1], self.epoch, creds, rows)
        await self._deps.group.submit_to(self._deps.write_credentials, write)

    def _on_units_failed(self, error: Exception) -> None:
        if isinstance(error, Fenced):
            self._on_lost()
            return
        # Not made durable, so not acknowledged: opened again, WhatsApp tells it again.
        self._log.error("what came in could not be made durable", exc_info=error)
        link, self._link = self._link, None
        if link is not None:
            self._do(self._close_and_retry(link))

    async def _close_and_retry(self, link: port.EngineSession) -> None:
        await link.close("handover")
        self._on_closed(port.StateChange(state="closed", reason="engine_error", retry=True))

    def _on_lost(self) -> None:
        self._deps.metrics.epoch_refused.inc()
        self._lost(self)

    # What is told.

    async def _change(
        self, status: SessionStatus, *, reason: str | None = None, error: str | None = None
    ) -> None:
        previous, self.status = self.status, status
        if status is SessionStatus.WORKING or status.final:
            self._arrived.set()
        else:
            self._arrived.clear()
        if previous is status and status in (SessionStatus.RECONNECTING, SessionStatus.WORKING):
            return
        me = self.me
        data = d.SessionState(
            status=status,
            previous=previous if previous is not status else None,
            reason=reason,
            error=error_of(error),
            phone_number=me.pn if me else None,
            lid=me.lid if me else None,
            name=me.name if me else None,
            engine=self._engine.name,
        )
        await self.events.submit("session", data)
        await self._now(reason=reason, error=error)

    async def _qr(self, change: port.StateChange) -> None:
        code = change.code or ""
        data = d.Qr(
            code=code,
            image=await asyncio.to_thread(png_data_url, code),
            expires_at=timestamp(change.expires_at),
            attempt=change.attempt or 1,
        )
        if self.status is not SessionStatus.SCAN_QR_CODE:
            await self._change(SessionStatus.SCAN_QR_CODE)
        await self.events.submit("qr", data)
        await self._now(
            qr=registry.QrRecord(code=code, expires_at=change.expires_at or 0, attempt=data.attempt)
        )

    async def _pairing_code(self, change: port.StateChange) -> None:
        code = change.code or ""
        data = d.PairingCode(
            code=code,
            expires_at=timestamp(change.expires_at) if change.expires_at else None,
            phone_number=self.record.pairing.phone_number,
        )
        if self.status is not SessionStatus.PAIRING_CODE:
            await self._change(SessionStatus.PAIRING_CODE)
        await self.events.submit("pairing_code", data)
        await self._now(pairing_code=registry.QrRecord(code=code, expires_at=change.expires_at or 0))

    async def _now(
        self,
        *,
        reason: str | None = None,
        error: str | None = None,
        qr: registry.QrRecord | None = None,
        pairing_code: registry.QrRecord | None = None,
    ) -> None:
        me = self.me
        await self.events.state(
            registry.NowRecord(
                status=self.status.value,
                since=time.time_ns() // 1_000_000,
                engine=self._engine.name,
                worker=self._deps.settings.worker_id,
                epoch=self.epoch,
                reason=reason,
                error=error,
                phone_number=me.pn if me else None,
                lid=me.lid if me else None,
                name=me.name if me else None,
                qr=qr,
                pairing_code=pairing_code,
            )
        )

    def _pacing(self) -> Pacing:
        settings = self._deps.settings
        wish = self.record.settings.get("pacing")
        if wish is not None:
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(wish, Pacing)
        if settings.pacing == "auto":
            return OFF if settings.whatsapp_url or self.record.engine == "simulated" else HUMAN
        return HUMAN if settings.pacing == "human" else OFF

    # Tasks: at most one job (open, reopen, end) and a chain of announcements in order.

    def _do(self, work: Awaitable[None]) -> None:
        if self._job is not None and self._job is not asyncio.current_task():
            self._job.cancel()
        self._job = asyncio.ensure_future(self._guard(work))

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Fenced:
            self._on_lost()
        except Exception:  # noqa: BLE001 - one session's failure is nobody else's
            self._log.exception("a session's work failed")
            await asyncio.sleep(5)
            if not self._closing:
                self._on_closed(port.StateChange(state="closed", reason="engine_error", retry=True))

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


def _fence_and_load(
    conn: Connection, keyring: Keyring, tenant: str, session: str, epoch: int
) -> bytes | None:
    credentials.fence(conn, tenant, session, epoch)
    return credentials.load_creds(conn, keyring, tenant, session)
