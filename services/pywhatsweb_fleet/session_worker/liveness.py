"""Being alive, and knowing who else is: one key a worker in the bucket WA_WORKERS.

The key lives 5 s and is renewed every 1.5 s. A worker that could not renew for 3.5 s fences itself: its engines cut
their sockets (the lease they were given has lapsed by then, even if this process is frozen) and its sessions are
dropped, before anybody can have seen the key gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from pywhatsweb.contracts.streams import WORKER_TTL_S, WORKERS_BUCKET
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket, Entry

log = structlog.get_logger(__name__)

RENEW_EVERY_S = 1.5
_ANSWER_S = 1.0
"""A renewal that takes longer is tried again: its request may have gone with a connection."""
_AGAIN_S = 0.2
FENCE_AFTER_S = 3.5
_SEEN_DEAD_AFTER_S = WORKER_TTL_S + 0.4
_CHECK_EVERY_S = 0.25


class Liveness:
    """This worker's key and the others'. Times are of the monotonic clock, which goes on while a process is frozen."""

    def __init__(
        self,
        bus: Bus,
        worker: str,
        describe: Callable[[], registry.WorkerRecord],
        on_fenced: Callable[[], Awaitable[None]],
        *,
        replicas: int = 1,
    ) -> None:
        """``replicas`` of the bucket, should it have to be made."""
        self._bus = bus
        self._replicas = replicas
        self._bucket = Bucket(bus, WORKERS_BUCKET)
        self._worker = worker
        self._describe = describe
        self._on_fenced = on_fenced
        self._renewed_at = -1e9
        self._fenced = True
        self._listening_since = time.monotonic()
        self._renewing = asyncio.Lock()
        self._peers: dict[str, tuple[registry.WorkerRecord, float]] = {}
        self._gone: set[str] = set()
        """Workers that deleted their key as they stopped."""

    @property
    def held(self) -> bool:
        """Whether this worker may own sessions now."""
        return not self._fenced and self.left_s() > 0

    def left_s(self) -> float:
        """Seconds for which ownership is still good."""
        return self._renewed_at + FENCE_AFTER_S - time.monotonic()

    def alive(self, worker: str) -> bool:
        """Whether another worker may be alive: its key was renewed lately, or we could not have seen it yet."""
        peer = self._peers.get(worker)
        seen = peer[1] if peer is not None else None
        if seen is None:
            return worker not in self._gone and time.monotonic() - self._listening_since < _SEEN_DEAD_AFTER_S
        return time.monotonic() - max(seen, self._listening_since) < _SEEN_DEAD_AFTER_S

    def peers(self) -> dict[str, registry.WorkerRecord]:
        """The others that are alive."""
        return {worker: record for worker, (record, _) in self._peers.items() if self.alive(worker)}

    def listen_anew(self) -> None:
        """Renewals may have been missed (a broken connection, a freeze): nobody is dead before there was time."""
        self._listening_since = time.monotonic()

    @contextlib.asynccontextmanager
    async def running(self):  # type: ignore[no-untyped-def]
        """Renews and watches while the block lasts; at its end the key is deleted, so that others need not wait."""
        async with self._bucket.changes(self._on_change):
            await self.refresh()
            await self._first()
            tasks = [asyncio.create_task(self._renew_for_ever()), asyncio.create_task(self._fence_in_time())]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                self._fenced = True
                with contextlib.suppress(ApiError, BrokerUnavailable):
                    await self._bucket.delete(self._worker)

    async def refresh(self) -> None:
        """Reads all keys: after a reconnect, when changes may have been missed."""
        now = time.monotonic()
        for entry in await self._bucket.all():
            self._see(entry, now)

    async def _on_change(self, entry: Entry) -> None:
        self._see(entry, time.monotonic())

    def _see(self, entry: Entry, now: float) -> None:
        if entry.key == self._worker or entry.key.startswith("disp"):
            return
        if entry.value is None:
            self._peers.pop(entry.key, None)
            self._gone.add(entry.key)
            return
        with contextlib.suppress(Exception):
            self._peers[entry.key] = (registry.decode_worker(entry.value), now)
            self._gone.discard(entry.key)

    async def _renew(self) -> None:
        """The lease counts from before the write, so it never outlives the key."""
        async with self._renewing:
            before = time.monotonic()
            async with asyncio.timeout(_ANSWER_S):
                await self._bucket.put(self._worker, registry.encode(self._describe()))
            now = time.monotonic()
            if now - self._renewed_at > FENCE_AFTER_S:
                self.listen_anew()
            if now - before < FENCE_AFTER_S:
                self._renewed_at = before
                if self._fenced:
                    self._fenced = False
                    log.info("ownership may be held", worker=self._worker)

    async def _first(self) -> None:
        while True:
            try:
                return await self._renew()
            except TimeoutError:
                log.warning("the broker does not answer")

    async def prepare(self) -> None:
        """The bucket lies in the broker's memory: one that restarted alone has to be given it again."""
        with contextlib.suppress(ApiError, BrokerUnavailable, TimeoutError):
            await provision.ensure_platform(self._bus, self._replicas)

    async def renew_now(self) -> None:
        """Out of turn, to tell the others of a change; a failure waits for the next turn."""
        with contextlib.suppress(ApiError, BrokerUnavailable, TimeoutError):
            await self._renew()

    async def _renew_for_ever(self) -> None:
        pause = RENEW_EVERY_S
        while True:
            await asyncio.sleep(pause)
            try:
                await self._renew()
                pause = RENEW_EVERY_S
            except (ApiError, BrokerUnavailable, TimeoutError) as error:
                pause = _AGAIN_S
                log.warning("could not renew", error=type(error).__name__)
                await self.prepare()
            for worker in [worker for worker in self._peers if not self.alive(worker)]:
                del self._peers[worker]

    async def _fence_in_time(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            if not self._fenced and self.left_s() <= 0:
                self._fenced = True
                log.error(
                    "ownership lapsed: sessions are dropped until it can be renewed", worker=self._worker
                )
                await self._on_fenced()
