"""What waits at the broker, for whoever watches: how much of each stage, and how old the oldest of it is.

Measured here and not by those who should take it, so that a dead reader shows, too. Each replica tells of the tenants
that it serves, so over all replicas nothing counts twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import structlog

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime.bus import CONSUMER_NOT_FOUND, NO_MESSAGE, ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.metrics import Metrics, set_all

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0
_PAUSE_S: Final = 0.02
"""Between tenants: with 10,000 of them a round takes minutes, and never a broker's breath."""


class Waiting(NamedTuple):
    """Messages, and for how many seconds the oldest has waited (0: there is none)."""

    messages: int
    age_s: float


class Beside(Protocol):
    """Looks at the tenants in the same rounds."""

    async def begin(self) -> None: ...
    async def look(self, tenant: TenantId, waiting: Mapping[str, Waiting]) -> None: ...


class Backlogs:
    """``served``: the tenants to tell of."""

    def __init__(
        self, bus: Bus, metrics: Metrics, served: Callable[[], Iterable[TenantId]], beside: Beside
    ) -> None:
        self._bus = bus
        self._metrics = metrics
        self._served = served
        self._beside = beside
        self._told: tuple[set[tuple[str, ...]], set[tuple[str, ...]]] = (set(), set())

    async def watch_for_ever(self) -> None:
        """Runs beside the service."""
        while True:
            try:
                await self.measure()
            except (ApiError, BrokerUnavailable) as error:
                log.warning("backlogs cannot be measured", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def measure(self) -> None:
        """One round over the tenants, then the metrics. Raises ApiError or BrokerUnavailable."""
        messages: defaultdict[tuple[str, ...], float] = defaultdict(float)
        ages: defaultdict[tuple[str, ...], float] = defaultdict(float)
        await self._beside.begin()
        for tenant in list(self._served()):
            waiting = await self.of(tenant)
            try:
                await self._beside.look(tenant, waiting)
            except (
                ApiError,
                BrokerUnavailable,
            ) as error:  # its stream is full, say: the others are looked at all the same
                log.warning("a tenant's alerts wait", tenant=tenant, error=type(error).__name__)
            for stage, found in waiting.items():
                labels = (stage, self._metrics.tenant(tenant))
                messages[labels] += found.messages
                ages[labels] = max(ages[labels], found.age_s)
            await asyncio.sleep(_PAUSE_S)
        set_all(self._metrics.queue_messages, messages, self._told[0])
        set_all(self._metrics.queue_age, ages, self._told[1])

    async def of(self, tenant: TenantId) -> dict[str, Waiting]:
        """By stage. Raises ApiError or BrokerUnavailable."""
        return {
            "commands": await self._unread(streams.commands_name(tenant), streams.DISPATCHER),
            "scheduled": await self._kept(streams.schedules_name(tenant)),
            "outbox": await self._kept(streams.outbox_name(tenant)),
            "record": await self._unread(streams.events_name(tenant), streams.RECORDER),
            "dead": await self._kept(streams.deadletters_name(tenant)),
        }

    async def _kept(self, stream: str) -> Waiting:
        """All that a stream has."""
        state = (await self._bus.api(f"STREAM.INFO.{stream}"))["state"]
        count = int(state["messages"])
        return Waiting(count, _age(state["first_ts"]) if count else 0.0)

    async def _unread(self, stream: str, durable: str) -> Waiting:
        """What a durable has not acknowledged."""
        try:
            info = await self._bus.api(f"CONSUMER.INFO.{stream}.{durable}")
        except ApiError as error:
            if error.code == CONSUMER_NOT_FOUND:  # its reader was never there
                return await self._kept(stream)
            raise
        count = int(info["num_pending"]) + int(info["num_ack_pending"])
        if not count:
            return Waiting(0, 0.0)
        after = int(info["ack_floor"]["stream_seq"])
        try:
            oldest = await self._bus.api(f"STREAM.MSG.GET.{stream}", {"next_by_subj": ">", "seq": after + 1})
        except ApiError as error:
            if error.code == NO_MESSAGE:  # it was taken meanwhile
                return Waiting(0, 0.0)
            raise
        return Waiting(count, _age(oldest["message"]["time"]))


def _age(moment: str) -> float:
    """Seconds since a time as the broker writes it (RFC 3339, nanoseconds)."""
    return max(0.0, time.time() - datetime.fromisoformat(moment).timestamp())
