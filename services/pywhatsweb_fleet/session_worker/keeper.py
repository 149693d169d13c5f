"""Taking sessions, keeping them, giving them back: the worker's side of ownership.

A session is taken by a compare-and-set of its ownership record, whose sequence is the epoch; everything the owner
writes is refused once there is a newer one. A worker that cannot prove that it lives drops all it has (`liveness`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

import msgspec
import structlog

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.events import SessionStatus
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb_fleet.session_worker.asked import Asked
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines.port import Engine
from pywhatsweb_fleet.session_worker.liveness import Liveness
from pywhatsweb_fleet.session_worker.placement import SessionKey
from pywhatsweb_fleet.session_worker.placing import Placing
from pywhatsweb_fleet.session_worker.session import OwnedSession
from pywhatsweb_fleet.session_worker.views import Views
from pywhatsweb_runtime import headers, lifecycle, registry
from pywhatsweb_runtime.bus import WRONG_LAST_SEQUENCE, ApiError, BrokerUnavailable, Stored
from pywhatsweb_runtime.metrics import set_all
from pywhatsweb_runtime.turns import Pace, Turns

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_SWEEP_EVERY_S = 30.0
_LEASE_EVERY_S = 0.5
_CHANGES_AT_ONCE = 32
_DRAIN_AT_ONCE = 128


class Keeper:
    """The sessions of one worker."""

    def __init__(self, deps: Deps, engines: dict[str, Engine]) -> None:
        self._deps = deps
        self._engines = engines
        self._me = deps.settings.worker_id
        self._owned: dict[SessionKey, OwnedSession] = {}
        self._wakes: dict[SessionKey, contextlib.AsyncExitStack] = {}
        self._moving: set[SessionKey] = set()
        self._nudge = asyncio.Event()
        self._draining = False
        self._started_at = int(time.time() * 1000)
        self._connects = Pace(deps.settings.connects_per_second)
        self._work: set[asyncio.Task[None]] = set()
        self._told: set[tuple[str, str, str]] = set()
        """Which sessions the metrics have."""
        self._changes = Turns(_CHANGES_AT_ONCE)
        self.views = Views(deps.bus, deps.reader, self._nudge.set)
        self._asked = Asked(deps.bus, self._is_ours, self._confirmed)
        self.liveness = Liveness(
            deps.bus, self._me, self._describe, self._on_fenced, replicas=deps.settings.replicas
        )
        self._placing = Placing(
            self._me,
            engines,
            self.views,
            self.liveness,
            most=deps.settings.max_sessions,
            rebalance_per_second=deps.settings.rebalance_per_second,
        )

    def count(self) -> int:
        return len(self._owned)

    def owns(self, key: SessionKey) -> bool:
        return key in self._owned or key in self._moving

    def working(self) -> dict[SessionKey, OwnedSession]:
        """Sessions that have a link to WhatsApp now."""
        return {key: session for key, session in self._owned.items() if session.link is not None}

    def by_status(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for session in self._owned.values():
            counts[session.status.value] = counts.get(session.status.value, 0) + 1
        return counts

    def _describe(self) -> registry.WorkerRecord:
        return registry.WorkerRecord(
            engines=sorted(self._engines),
            capabilities={name: sorted(known) for name, known in self._declared()},
            versions={name: engine.version for name, engine in self._engines.items() if engine.version},
            sessions=len(self._owned),
            draining=self._draining,
            started_at=self._started_at,
        )

    def _declared(self) -> Iterator[tuple[str, Sequence[str]]]:
        return ((name, engine.capabilities) for name, engine in self._engines.items() if engine.capabilities)

    # The loop.

    async def run(self) -> None:
        """Looks at what is wanted once a second and whenever something changed; ends only by cancellation."""
        sweep_at = time.monotonic() + _SWEEP_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._nudge.wait()
            self._nudge.clear()
            try:
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + _SWEEP_EVERY_S
                    await self.views.sweep()
                    self._wake_all()
                if self.liveness.held and not self._draining:
                    await self._look()
            except (BrokerUnavailable, ApiError) as error:
                log.warning("could not look after sessions", error=type(error).__name__)
            self._tell_metrics()

    def _tell_metrics(self) -> None:
        metrics = self._deps.metrics
        counts = Counter((own.status.value, *metrics.who(*own.key)) for own in self._owned.values())
        set_all(metrics.sessions, counts, self._told)

    async def lease(self) -> None:
        """Tells the engines, for ever, how long ownership is still good."""
        while True:
            left = self.liveness.left_s()
            if left > 0:
                for engine in self._engines.values():
                    engine.lease(int(left * 1000))
            await asyncio.sleep(_LEASE_EVERY_S)

    async def reconnected(self) -> None:
        """The broker is back: pushes and wake-ups may have been missed."""
        self.liveness.listen_anew()
        await self.liveness.prepare()
        await self.liveness.renew_now()
        await self.liveness.refresh()
        await self.views.sweep()
        self._wake_all()

    async def _look(self) -> None:
        self._apply_wishes()
        for session in self._owned.values():
            session.tick()
        self._placing.look(self._owned, self._moving)
        if chosen := self._placing.to_take(self._owned):
            await asyncio.gather(*(self._take(key) for key in chosen))
            self._nudge.set()  # there may be more than were taken at once
            return
        for key in self._placing.to_give(self._owned, self._moving):
            self._begin(key, self._hand_over(self._owned[key]))

    # Taking.

    async def _take(self, key: SessionKey) -> None:
        self._moving.add(key)
        try:
            owner = self.views.owners.get(key) or await self.views.owner(key)
            if not self._placing.is_free(key):
                return  # the stream knew an owner that we had not heard of
            epoch = await self._compare_and_set(key, self._me, owner.sequence)
            record = self.views.sessions.get(key)
            if record is None or not self.liveness.held:
                return
            why = "free" if owner.worker is None else "dead owner"
            self._deps.metrics.takeovers.labels(why).inc()
            session = OwnedSession(
                self._deps,
                self._engines[record.engine],
                key,
                record,
                tenant=self.views.tenants[key[0]],
                epoch=epoch,
                of_the_dead=owner.worker is not None,
                connect_slot=functools.partial(self._connects.turn, key[0]),
                lost=self._on_lost,
                finished=self._finished,
            )
            self._owned[key] = session
            await self._subscribe(key, session)
            if self._owned.get(key) is session:
                self._open_as_wanted(session)
            else:
                await self._drop(key)  # ownership lapsed meanwhile: a link opened now would be nobody's
        except ApiError as error:
            if error.code != WRONG_LAST_SEQUENCE:
                raise
            await self.views.owner(key)  # somebody else was first: see who
        finally:
            self._moving.discard(key)

    def _open_as_wanted(self, session: OwnedSession) -> None:
        if session.record.wanted == "running":
            session.start()
        else:
            self._begin_wish(session, session.record)

    async def _compare_and_set(self, key: SessionKey, worker: str | None, expected: int) -> int:
        return await self._deps.bus.compare_and_set(
            subjects.own_ingest(TenantId(key[0]), SessionId(key[1])),
            registry.encode(registry.OwnRecord(worker=worker)),
            expected,
            {"Nats-Rollup": "sub"},
        )

    async def _subscribe(self, key: SessionKey, session: OwnedSession) -> None:
        queue = subjects.out(TenantId(key[0]), SessionId(key[1]))

        def woken(_subject: bytes, _reply: bytes, block: bytes, data: bytes) -> None:
            sequence = int(headers.last(block, b"Nats-Sequence") or 0)
            previous = int(headers.last(block, b"Nats-Last-Sequence") or 0)
            session.lane.wake(Stored(queue, sequence, data, block), previous)

        wakes = contextlib.AsyncExitStack()
        await wakes.enter_async_context(
            self._deps.bus.client.sinking(subjects.wake(TenantId(key[0]), SessionId(key[1])), woken)
        )
        asked = subjects.ask(TenantId(key[0]), SessionId(key[1]))
        await wakes.enter_async_context(self._deps.bus.client.sinking(asked, self._asked.listener(session)))
        self._wakes[key] = wakes

    def _is_ours(self, session: OwnedSession) -> bool:
        return self.liveness.held and self._owned.get(session.key) is session

    async def _confirmed(self, session: OwnedSession) -> bool:
        """Whether the stream's leader still has our epoch as the newest."""
        owner = await self.views.owner(session.key)
        return owner.sequence == session.epoch and owner.worker == self._me

    def _wake_all(self) -> None:
        for session in self._owned.values():
            session.lane.wake()

    # Doing what is wanted.

    def _apply_wishes(self) -> None:
        for key, session in list(self._owned.items()):
            if key in self._moving:
                continue
            record = self.views.sessions.get(key)
            if record is None or record is session.record:
                continue
            if record == session.record:
                session.record = record  # the next look sees at once that it is the same
            elif record.wanted == "stopped":
                self._begin(key, self._stop(session, SessionStatus.STOPPED))
            elif record.wanted != "running":
                self._begin_wish(session, record)
            elif record.generation != session.record.generation:
                self._begin(key, session.restart(record))
            else:
                session.record = record

    def _begin_wish(self, session: OwnedSession, record: registry.SessionRecord) -> None:
        """A log-out or a deletion; when the broker goes away meanwhile, it is begun again."""
        before, session.record = session.record, record
        if before.wanted == record.wanted:
            before = msgspec.structs.replace(record, generation=record.generation - 1)

        def undo() -> None:
            session.record = before

        self._begin(session.key, self._carry_out(session, record.wanted), undo)

    def _begin(self, key: SessionKey, work: Awaitable[None], undo: Callable[[], None] | None = None) -> None:
        """Runs a change of one session, after which the wishes are looked at again."""
        self._moving.add(key)

        async def guarded() -> None:
            try:
                async with self._changes.turn(key[0]):
                    await work
            except (BrokerUnavailable, ApiError) as error:
                log.warning("a session's change is tried again", error=type(error).__name__)
                if undo is not None:
                    undo()
                await asyncio.sleep(_LOOK_EVERY_S)
            except Exception:
                log.exception("a session's change failed")
            finally:
                self._moving.discard(key)
                self._nudge.set()

        task = asyncio.ensure_future(guarded())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _stop(self, session: OwnedSession, status: SessionStatus | None) -> None:
        await session.close("stop", status)
        await self._release(session)

    async def _carry_out(self, session: OwnedSession, wanted: registry.Wanted) -> None:
        if not await session.logout():
            self._on_lost(session)
            return
        if wanted == "deleting":
            await self._forget(session)
            return
        await self._finished(session, "stopped")

    async def _forget(self, session: OwnedSession) -> None:
        """Removes what the broker holds of a deleted session, the ownership record last."""
        tenant, name = TenantId(session.key[0]), SessionId(session.key[1])
        await self._drop(session.key)
        await self._deps.bus.purge(streams.outbox_name(tenant), subjects.out(tenant, name))
        await self._deps.bus.purge(streams.events_name(tenant), subjects.now(tenant, name))
        await self.views.delete_session(session.key)
        await self._deps.bus.purge(streams.events_name(tenant), subjects.own(tenant, name))
        self.views.owners.pop(session.key, None)

    async def _finished(self, session: OwnedSession, wanted: registry.Wanted | None) -> None:
        """The session ended by itself (logged out, banned …): its record says so, and it needs no owner."""
        while wanted is not None:
            found = await self.views.session(session.key)
            if found is None or found[0].generation != session.record.generation:
                break  # deleted, or started again meanwhile
            record = msgspec.structs.replace(found[0], wanted=wanted, updated_at=int(time.time() * 1000))
            try:
                await self.views.write_session(session.key, record, found[1])
                self.views.sessions[session.key] = record
                break
            except ApiError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
        await self._release(session)

    # Giving back.

    async def _release(self, session: OwnedSession) -> None:
        """Gives ownership back, so that others need not wait for anything."""
        await self._drop(session.key)
        with contextlib.suppress(ApiError, BrokerUnavailable):
            await self._compare_and_set(session.key, None, session.epoch)

    async def _drop(self, key: SessionKey) -> None:
        self._owned.pop(key, None)
        wakes = self._wakes.pop(key, None)
        if wakes is not None:
            with contextlib.suppress(Exception):
                await wakes.aclose()

    async def _hand_over(self, session: OwnedSession) -> None:
        await session.close("stop", None)
        await self._release(session)

    def _on_lost(self, session: OwnedSession) -> None:
        """The broker refused an event of ours: somebody else owns the session."""
        if self._owned.get(session.key) is not session:
            return
        log.warning(
            "another worker owns a session that was ours", tenant=session.key[0], session=session.key[1]
        )
        session.cut()
        del self._owned[session.key]
        self._begin(session.key, self._drop_lost(session.key))

    async def _drop_lost(self, key: SessionKey) -> None:
        await self._drop(key)
        await self.views.owner(key)

    async def _on_fenced(self) -> None:
        owned = list(self._owned.items())
        for _, session in owned:
            session.cut()
        for key, _ in owned:
            await self._drop(key)

    async def drain(self) -> None:
        """Hands every session over, many at once, and takes no more."""
        self._draining = True
        await self.liveness.renew_now()  # the others count without us from now on
        await lifecycle.end(*self._work)
        gate = asyncio.Semaphore(_DRAIN_AT_ONCE)

        async def one(session: OwnedSession) -> None:
            async with gate:
                with contextlib.suppress(Exception):
                    await self._hand_over(session)

        await asyncio.gather(*(one(session) for session in list(self._owned.values())))
