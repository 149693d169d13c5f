"""The cold-contact hold, at the door: while WhatsApp limits a session's reaching out, nobody new is written to.

The session's owner begins a hold (463) and tells it in the session's present state; here it is kept by hints and
sweeps. A command to a chat in which nothing was said within the replay window is rejected before it is queued, with
when to come again. A hint that was lost costs nothing but that the worker refuses instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
import nats
import structlog
from nats.aio.msg import Msg

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher.directory import Directory
from pywhatsweb_fleet.dispatcher.reading import Job, Tenant
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.direct import reading

log = structlog.get_logger(__name__)

SWEEP_EVERY_S: Final = 300.0
"""And after each reconnection: changes were missed then."""
_PAUSE_S: Final = 1.0
_PAGE: Final = 256
_REMEMBERED: Final = 20_000
_ASKED_AT_ONCE: Final = 32
_WRITES = frozenset(("send", "forward"))

Heard = Callable[[tuple[str, str], registry.NowRecord], None]


class ColdHolds:
    """Made by `following`. ``heard`` is told of every present state that is read here."""

    def __init__(self, bus: Bus, heard: Heard) -> None:
        self._bus = bus
        self._heard = heard
        self._until: dict[tuple[str, str], int] = {}
        """Milliseconds since 1970, of the sessions that are held."""
        self._talked: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._stale = asyncio.Event()
        self.complete = False
        """Whether every session's present state was read since the connection began."""

    def until(self, tenant: str, session: str) -> int:
        """When the session's hold ends; 0: there is none."""
        return self._until.get((tenant, session), 0)

    async def refuse(self, tenant: Tenant, jobs: Sequence[Job], now_ms: int) -> None:
        """Refuses those of the jobs that would write to somebody new. Raises BrokerUnavailable or ApiError."""
        if not self._until:
            return
        held = [job for job in jobs if self._may_be_held(tenant, job, now_ms)]
        for start in range(0, len(held), _ASKED_AT_ONCE):
            some = held[start : start + _ASKED_AT_ONCE]
            chats = {(job.session, job.chat_key): job for job in some}
            known = dict(
                zip(
                    chats,
                    await asyncio.gather(*(self._has_talked(tenant, j) for j in chats.values())),
                    strict=True,
                )
            )
            for job in some:
                if not known[job.session, job.chat_key]:
                    until = self.until(tenant.id, job.session)
                    details = {"retry_after_ms": until - now_ms, "held_until": until}
                    job.refuse(ErrorCode.E_WHATSAPP_REACHOUT_LIMITED, details)

    def _may_be_held(self, tenant: Tenant, job: Job, now_ms: int) -> bool:
        until = self.until(tenant.id, job.session)
        return (
            max(now_ms, job.send_at_ms) < until
            and job.refusal is None
            and job.verb in _WRITES
            and not job.recipient.startswith("group:")
        )

    async def _has_talked(self, tenant: Tenant, job: Job) -> bool:
        key = (tenant.id, job.session, job.chat_key)
        if key in self._talked:
            self._talked.move_to_end(key)
            return True
        subject = subjects.event(tenant.id, job.session, "message", job.chat_key)
        if await self._bus.last(streams.events_name(tenant.id), subject) is None:
            return False
        self._talked[key] = None
        if len(self._talked) > _REMEMBERED:
            self._talked.popitem(last=False)
        return True

    def learn(self, subject: str, body: bytes) -> None:
        """A session's present state."""
        parsed = subjects.parse_session(subject)
        if parsed is None:
            return
        try:
            now = registry.decode_now(body)
        except msgspec.MsgspecError:
            return
        self._heard(parsed, now)
        until = now.cold_until
        if until > time.time() * 1000:
            self._until[parsed] = until
        else:
            self._until.pop(parsed, None)

    async def on_now(self, message: Msg) -> None:
        self.learn(message.subject, message.data)

    async def reconnected(self) -> None:
        self.complete = False
        self._stale.set()

    async def sweep(self, tenants: Sequence[TenantId]) -> None:
        """Reads every session's present state. Raises BrokerUnavailable or ApiError."""
        async with reading(self._bus) as reader:
            for tenant in tenants:
                sequence, stream = 1, streams.events_name(tenant)
                while page := await reader.batch(stream, subjects.all_now(tenant), sequence, limit=_PAGE):
                    for stored in page:
                        self.learn(stored.subject, stored.data)
                    sequence = page[-1].sequence + 1
        now = time.time() * 1000
        self._until = {key: until for key, until in self._until.items() if until > now}

    async def sweep_for_ever(self, directory: Directory) -> None:
        """Runs beside the service; begins with a sweep."""
        while True:
            self._stale.clear()
            try:
                await self.sweep([*directory.tenants])
            except (ApiError, BrokerUnavailable) as error:
                log.warning("cannot read which sessions are held; trying again", error=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)
                continue
            self.complete = not self._stale.is_set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_EVERY_S):
                    await self._stale.wait()


@contextlib.asynccontextmanager
async def following(bus: Bus, heard: Heard) -> AsyncIterator[ColdHolds]:
    """`ColdHolds` that hear of every change for as long as the block lasts."""
    holds = ColdHolds(bus, heard)
    subscription = await bus.client.subscribe(
        subjects.ALL_NOW, cb=holds.on_now, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    bus.on_reconnect.append(holds.reconnected)
    try:
        yield holds
    finally:
        bus.on_reconnect.remove(holds.reconnected)
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
