"""A tenant's events stream into the record: pull, settle, acknowledge, for as long as the tenant exists.

Nothing is pulled beyond the window while a batch is not settled, so a slow or absent database costs a window of memory
a tenant and delays nobody but this service; the stream keeps the rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
from nats.aio.msg import Msg
from sqlalchemy.exc import SQLAlchemyError

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.persistence.handlers import Arrived, Deps, key_of, settle
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.puller import Puller, pulling
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)

DURABLE: Final = "persistence"
_FIRST_PAUSE_S: Final = 0.25
_LAST_PAUSE_S: Final = 5.0


def consumer(tenant: TenantId, window: int, ack_wait_s: float) -> dict[str, Any]:
    """Replicas share the work: each takes a part, in any order, and acknowledges what it has committed."""
    return {
        "durable_name": DURABLE,
        "filter_subject": f"wa.evt.{tenant}.>",
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_s * streams.NS),
        "max_ack_pending": 16 * window,
        "deliver_policy": "all",
    }


class Ingest:
    """Of one tenant. `problem` is what keeps it from working just now, for the health check."""

    def __init__(
        self,
        bus: Bus,
        deps: Deps,
        tenant: TenantId,
        record: Callable[[], TenantRecord],
        settings: PersistenceSettings,
    ) -> None:
        self._bus = bus
        self._deps = deps
        self._tenant = tenant
        self._record = record
        self._batch = settings.batch
        self._ack_wait_s = settings.ack_wait_s
        self.problem: str | None = None
        self.settled = 0
        self._settling = False
        self._stopped = False

    async def run(self) -> None:
        """Until stopped or cancelled; a batch that is not settled then is delivered again, to whoever is there."""
        stream = streams.events_name(self._tenant)
        window = 2 * self._batch
        await self._patiently(
            lambda: provision.ensure_consumer(
                self._bus, stream, consumer(self._tenant, window, self._ack_wait_s)
            )
        )
        async with pulling(self._bus, stream, DURABLE, window=window) as puller:
            while True:
                messages = await puller.batch(self._batch)
                self._settling = True
                arrived = [_arrived(message) for message in messages]
                await self._patiently(partial(self._settle, arrived))
                await _acknowledge(puller, messages)
                self.settled += len(messages)
                self._settling = False
                if self._stopped:
                    return

    async def _settle(self, arrived: Sequence[Arrived]) -> None:
        await settle(self._deps, self._tenant, key_of(self._record()), arrived)

    def stop(self, task: asyncio.Task[None]) -> None:
        """Ends ``task`` (which runs `run`) at once, or when the batch that is under way is acknowledged."""
        self._stopped = True
        if not self._settling or self.problem is not None:
            task.cancel()

    async def _patiently(self, act: Callable[[], Awaitable[None]]) -> None:
        """``act`` until it succeeds: what it waits for comes back by itself or by an operator."""
        delay = _FIRST_PAUSE_S
        while True:
            try:
                await act()
            except (StorageUnavailable, BrokerUnavailable, ApiError, SQLAlchemyError) as error:
                problem = (
                    f"{type(error).__name__}: {error}"
                    if isinstance(error, StorageUnavailable)
                    else type(error).__name__
                )
                if self.problem is None:
                    log.warning("ingest waits", tenant=self._tenant, problem=problem)
                self.problem = problem
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, _LAST_PAUSE_S)
            else:
                if self.problem is not None:
                    log.info("ingest goes on", tenant=self._tenant)
                self.problem = None
                return


def _arrived(message: Msg) -> Arrived:
    # $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.… ; with a domain and account two tokens more in front.
    tokens = message.reply.split(".")
    return Arrived(message.subject, message.data, int(tokens[-4]))


async def _acknowledge(puller: Puller, messages: list[Msg]) -> None:
    for message in messages:
        await puller.ack(message)
