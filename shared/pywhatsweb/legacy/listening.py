"""A session's events to its handlers: through a durable reader where the fleet makes one, else live."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from pywhatsweb.client import FleetClient
from pywhatsweb.contracts import events as e
from pywhatsweb.contracts.events import AnyEvent, timestamp
from pywhatsweb.errors import BrokerError, NotSupportedError, PyWhatsWebError, RequestError

log: Final[logging.Logger] = logging.getLogger("pywhatsweb")

Take = Callable[[AnyEvent], Awaitable[None]]
Feed = Callable[[str, dict[str, Any]], Awaitable[None]]

BATCH: Final = 32
IDLE_S: Final = 300
"""A durable reader that a killed program leaves behind is forgotten after it."""
_PAUSE_S: Final = 1.0
_KINDS: Final = sorted(set(e.EVENT_TYPES) - {"presence"})


async def listen(fleet: FleetClient, session_id: str, take: Take, ready: asyncio.Event) -> None:
    """Until cancelled. `ready` is set when whatever happens from then on is heard."""
    while True:
        try:
            async with _source(fleet, session_id) as events:
                ready.set()
                async for event in events:
                    await take(event)
        except PyWhatsWebError as error:
            log.warning("events of session %s: %s; listening again", session_id, error.code.wire)
        await asyncio.sleep(_PAUSE_S)


@contextlib.asynccontextmanager
async def _source(fleet: FleetClient, session_id: str) -> AsyncIterator[AsyncIterator[AnyEvent]]:
    name = f"v05-{secrets.token_hex(8)}"
    try:
        await fleet.consumers.create(name, types=_KINDS, sessions=[session_id], idle_s=IDLE_S)
    except (NotSupportedError, RequestError, BrokerError):
        # Beyond the tenant's limit of readers, or a fleet without them.
        async with fleet.events(sessions=[session_id], types=_KINDS) as live:
            yield live
        return
    try:
        async with fleet.durable(name, types=_KINDS, sessions=[session_id], batch=BATCH) as durable:
            yield durable
    finally:
        with contextlib.suppress(PyWhatsWebError, asyncio.CancelledError):
            async with asyncio.timeout(2):
                await fleet.consumers.delete(name)


async def beat(fleet: FleetClient, session_id: str, feed: Feed, every_s: float) -> None:
    """``heartbeat`` with the latency to the fleet in milliseconds, or ``heartbeat_failed``; until cancelled."""
    failed = 0
    while True:
        await asyncio.sleep(every_s)
        began = time.perf_counter()
        base = {"session_id": session_id, "tenant_id": fleet.tenant, "timestamp": timestamp()}
        try:
            await fleet.ping(min(10.0, every_s))
        except PyWhatsWebError as error:
            failed += 1
            await feed("heartbeat_failed", base | {"error": error.code.wire, "failures": failed})
        else:
            failed = 0
            latency = round((time.perf_counter() - began) * 1000, 2)
            await feed("heartbeat", base | {"latency": latency})
