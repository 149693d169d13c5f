"""Waiting for what becomes of a command: its status events, and its record where events may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import nats
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.contracts import codec, control, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.events import StatusEvent
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import PyWhatsWebError
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus

LINGER_S: Final = 15.0
"""How long a session's statuses are followed after the last one who waited."""
ASK_EVERY_S: Final = 3.0
UNSENT: Final = frozenset(
    (MessageStatus.FAILED, MessageStatus.REJECTED, MessageStatus.EXPIRED, MessageStatus.CANCELLED)
)


class _Waiter:
    __slots__ = ("last", "more", "where")

    def __init__(self) -> None:
        self.where = ""
        """The session that the command is with, once that was told."""
        self.last: Status | None = None
        self.more = asyncio.Event()

    def take(self, status: Status) -> None:
        if self.last is None or status.status.rank >= self.last.status.rank:
            self.last = status
            self.more.set()


class _Followed:
    """A session, or an inbox, whose statuses are heard, for whoever waits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiters: dict[str, set[_Waiter]] = {}
        self.subscription: Subscription | None = None
        self.ready = asyncio.Event()
        self.end: asyncio.TimerHandle | None = None

    async def on_status(self, message: Msg) -> None:
        try:
            event: StatusEvent = codec.decode(message.data, StatusEvent)
        except msgspec.MsgspecError:
            return  # of a later version
        for waiter in self.waiters.get(event.data.command_id or "", ()):
            if self.name in (event.session_id, event.data.inbox_id) or waiter.where == event.session_id:
                waiter.where = event.session_id
                waiter.take(event.data)


class Outcomes:
    """One a process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._followed: dict[tuple[TenantId, str], _Followed] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def following(self, tenant: TenantId, session: str, command_id: str) -> AsyncIterator[_Waiter]:
        """Hears every status of the command from now on: enter before it is published."""
        key = (tenant, session)
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = _Followed(session)
            # What an inbox was sent is told of by the session that it was given to.
            teller = SessionId("*" if subjects.valid_inbox(session) else session)
            subject = subjects.event(tenant, teller, "status", ChatKey("*"))
            try:
                followed.subscription = await self._bus.client.subscribe(subject, cb=followed.on_status)
                await self._bus.client.flush()
            except BaseException:
                self._followed.pop(key, None)
                followed.ready.set()
                raise
            followed.ready.set()
        waiter = _Waiter()
        followed.waiters.setdefault(command_id, set()).add(waiter)
        if followed.end is not None:
            followed.end.cancel()
            followed.end = None
        try:
            await followed.ready.wait()
            yield waiter
        finally:
            waiting = followed.waiters[command_id]
            waiting.discard(waiter)
            if not waiting:
                del followed.waiters[command_id]
            if not followed.waiters and followed.end is None:
                loop = asyncio.get_running_loop()
                followed.end = loop.call_later(LINGER_S, self._forget, key, followed)

    def _forget(self, key: tuple[TenantId, str], followed: _Followed) -> None:
        if followed.waiters or self._followed.get(key) is not followed:
            return
        del self._followed[key]
        if followed.subscription is not None:
            task = asyncio.ensure_future(self._unsubscribe(followed.subscription))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _unsubscribe(subscription: Subscription) -> None:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()

    async def wait(
        self,
        waiter: _Waiter,
        tenant: TenantId,
        session: str,
        command_id: str,
        *,
        wanted: MessageStatus,
        seconds: float,
        ask_first: bool,
    ) -> Status | None:
        """The first status that is `wanted` or further, or an end without it; the last one at the deadline.

        `ask_first`: the command is a repeat, so its statuses may be long told.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        ask_at = loop.time() + (0.0 if ask_first else ASK_EVERY_S)
        while True:
            status = waiter.last
            if status is not None and _ended(status, wanted):
                return status
            now = loop.time()
            if now >= deadline:
                return status
            if now >= ask_at:
                ask_at = now + ASK_EVERY_S
                await self._ask(waiter, tenant, session, command_id)
                continue
            waiter.more.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(deadline, ask_at) - now):
                    await waiter.more.wait()

    async def _ask(self, waiter: _Waiter, tenant: TenantId, session: str, command_id: str) -> None:
        raw = codec.encode(d.MessageStatusArgs(id=command_id, session_id=session))
        try:
            answer = await self._bus.request(subjects.control(tenant, "message", "status"), raw, deadline=2.0)
            found: d.MessageStatusInfo = control.read_reply(answer.data, d.MessageStatusInfo)
            waiter.where = found.session_id
            waiter.take(found.status)
        except (BrokerUnavailable, PyWhatsWebError):
            return  # not on record yet, or nobody to ask now


def _ended(status: Status, wanted: MessageStatus) -> bool:
    if status.status in UNSENT:
        return True
    # `unknown` may be settled yet: it is waited out.
    return status.status is not MessageStatus.UNKNOWN and status.status.rank >= wanted.rank
