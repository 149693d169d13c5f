"""What a session tells of itself: its status, its codes, and its present state, under its epoch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts.events import SessionStatus, timestamp
from pywhatsweb_fleet.session_worker.cold import ColdHold
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import error_of
from pywhatsweb_fleet.session_worker.qr import png_data_url
from pywhatsweb_runtime import alarms, registry
from pywhatsweb_runtime.alarms import Change, Reading
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable
from pywhatsweb_runtime.publisher import PubAck

_PAUSE_S: Final = 1.0
_ALERTS: Final = 16
"""So many of a session's alerts wait for a stream that refuses them."""

_Tell = Callable[[], Awaitable[Awaitable[object]]]
"""Submits it; what is given ends when the stream has it."""


class _Change(NamedTuple):
    """A change of status, as it is told."""

    previous: SessionStatus
    event_id: str
    reason: str | None
    error: str | None


class Announcer:
    """Of one owned session. ``arrived`` is set while it is WORKING or at an end.

    What the stream refuses for now (it is full, say) is told again until it has it, or there is newer to tell.
    """

    def __init__(self, deps: Deps, events: FencedEvents, cold: ColdHold, *, engine: str, epoch: int) -> None:
        self.status = SessionStatus.STARTING
        self.me: port.Person | None = None
        self.arrived = asyncio.Event()
        self._deps = deps
        self._events = events
        self._cold = cold
        self._engine = engine
        self._epoch = epoch
        self._newest: _Change | None = None
        self._trouble: str | None = None
        """The code told with the present status."""
        self._code: registry.QrRecord | None = None
        """What is shown to be scanned or typed."""
        self._alerts: deque[str] = deque(maxlen=_ALERTS)
        self._standing: dict[str, int] = {}
        """`alarms.Reading.key` → since when, of conditions that were told and are not over."""
        self._telling: set[asyncio.Task[bool]] = set()
        cold.changed = self.state

    async def change(
        self, status: SessionStatus, *, reason: str | None = None, error: str | None = None
    ) -> None:
        """Tells a new status; a repeat of WORKING is not one, nor of RECONNECTING unless its trouble is another."""
        previous, self.status = self.status, status
        if status is SessionStatus.WORKING or status.final:
            self.arrived.set()
        else:
            self.arrived.clear()
        if previous is status and (
            status is SessionStatus.WORKING
            or (status is SessionStatus.RECONNECTING and error in (None, self._trouble))
        ):
            return
        self._trouble = error
        self._code = None
        change = self._newest = _Change(previous, ids.new_event_id(), reason, error)
        await self._announce(partial(self._tell, change), lambda: self._newest is not change)

    async def end(
        self, status: SessionStatus, *, reason: str | None = None, error: str | None = None
    ) -> bool:
        """As `change`, until the stream has it; False when another worker owns the session: then nothing is ours."""
        previous, self.status = self.status, status
        self.arrived.set()
        self._code = None
        change = self._newest = _Change(previous, ids.new_event_id(), reason, error)
        return await self._see_to(partial(self._tell, change), lambda: self._newest is not change, None)

    async def settled(self, bound_s: float) -> None:
        """Waits until the stream has what was told, at most so long; then nothing is told any more."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=bound_s)
        self.stop()

    def stop(self) -> None:
        """Nothing is told again any more."""
        for telling in self._telling:
            telling.cancel()

    async def _announce(self, tell: _Tell, stale: Callable[[], bool]) -> None:
        """Tells it in its turn, and sees to it that the stream has it."""
        told = None
        with contextlib.suppress(BrokerUnavailable):
            told = await tell()
        telling = asyncio.create_task(self._see_to(tell, stale, told))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _see_to(self, tell: _Tell, stale: Callable[[], bool], told: Awaitable[object] | None) -> bool:
        """Tells it until the stream has it or it is stale; False when another worker owns the session."""
        while True:
            try:
                await (told or await tell())
            except BrokerUnavailable:
                pass
            except ApiError as refused:
                if refused.code == WRONG_LAST_SEQUENCE:
                    return False
            else:
                return True
            told = None
            await asyncio.sleep(_PAUSE_S)
            if stale():
                return True

    async def _tell(self, change: _Change) -> Awaitable[object]:
        """The event and the present state; what is given ends when the stream has both."""
        me = self.me
        data = d.SessionState(
            status=self.status,
            previous=change.previous if change.previous is not self.status else None,
            reason=change.reason,
            error=error_of(change.error),
            phone_number=me.pn if me else None,
            lid=me.lid if me else None,
            name=me.name if me else None,
            engine=self._engine,
        )
        event = await self._events.submit("session", data, event_id=change.event_id)
        return asyncio.gather(event, await self.state(reason=change.reason, error=change.error))

    async def qr(self, change: port.StateChange) -> None:
        code = change.code or ""
        data = d.Qr(
            code=code,
            image=await asyncio.to_thread(png_data_url, code),
            expires_at=timestamp(change.expires_at),
            attempt=change.attempt or 1,
        )
        if self.status is not SessionStatus.SCAN_QR_CODE:
            await self.change(SessionStatus.SCAN_QR_CODE)
        record = registry.QrRecord(code=code, expires_at=change.expires_at or 0, attempt=data.attempt)
        await self._show("qr", data, record)

    async def pairing_code(self, change: port.StateChange, phone_number: str | None) -> None:
        code = change.code or ""
        data = d.PairingCode(
            code=code,
            expires_at=timestamp(change.expires_at) if change.expires_at else None,
            phone_number=phone_number,
        )
        if self.status is not SessionStatus.PAIRING_CODE:
            await self.change(SessionStatus.PAIRING_CODE)
        await self._show(
            "pairing_code", data, registry.QrRecord(code=code, expires_at=change.expires_at or 0)
        )

    async def _show(self, kind: str, data: d.Data, code: registry.QrRecord) -> None:
        """Tells a code, which is nobody's use any more once there is another, or another status."""
        event_id = ids.new_event_id()
        self._code = code

        async def tell() -> Awaitable[object]:
            event = await self._events.submit(kind, data, event_id=event_id)
            state = await self.state(**{kind: code})  # type: ignore[arg-type]
            return asyncio.gather(event, state)

        await self._announce(tell, lambda: self._code is not code)

    async def alert(self, kind: str, code: str, **details: object) -> None:
        """Tells an alert; of those that the stream refuses, the last ones are kept to be told later."""
        await self._tell_alert(d.Alert(kind=kind, error=error_of(code), details=details), ids.new_event_id())

    async def _tell_alert(self, data: d.Alert, event_id: str) -> None:
        self._alerts.append(event_id)
        await self._announce(
            partial(self._events.submit, "alert", data, event_id=event_id),
            lambda: event_id not in self._alerts,
        )

    def news(self, readings: Iterable[Reading]) -> list[Change]:
        """What begins and ends of conditions that last."""
        return alarms.changes(self._standing, readings, time.time_ns() // 1_000_000)

    async def tell(self, told: Sequence[Change]) -> None:
        """Tells what `news` gave; what stands is part of the present state."""
        self._standing = alarms.after(self._standing, told)
        for change in told:
            event_id = self._events.stable_id(
                "alarm", change.reading.key, str(change.since), str(change.over)
            )
            await self._tell_alert(change.alert(), event_id)
        await self.state()

    async def state(
        self,
        *,
        reason: str | None = None,
        error: str | None = None,
        qr: registry.QrRecord | None = None,
        pairing_code: registry.QrRecord | None = None,
    ) -> asyncio.Future[PubAck]:
        """Replaces the session's present state."""
        me = self.me
        return await self._events.state(
            registry.NowRecord(
                status=self.status.value,
                since=time.time_ns() // 1_000_000,
                engine=self._engine,
                worker=self._deps.settings.worker_id,
                epoch=self._epoch,
                reason=reason,
                error=error,
                phone_number=me.pn if me else None,
                lid=me.lid if me else None,
                name=me.name if me else None,
                qr=qr,
                pairing_code=pairing_code,
                cold_until=self._cold.until if self._cold.active else 0,
                alarms=self._standing,
            )
        )

    async def resume(self) -> None:
        """What the last owner left: a hold that lasts still, alerts that stand."""
        subject = subjects.now(self._events.tenant, self._events.session)
        try:
            stored = await self._deps.bus.last(streams.events_name(self._events.tenant), subject)
        except (ApiError, BrokerUnavailable):
            return
        if stored is not None:
            try:
                left = registry.decode_now(stored.data)
            except ValueError:
                return
            self._cold.until, self._standing = left.cold_until, left.alarms
