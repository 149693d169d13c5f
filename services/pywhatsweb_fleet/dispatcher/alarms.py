"""The tenants' own alerts: sessions that are down, too few that work, readers that lag, streams and a disk that fill.

Told by the replica that takes a tenant's commands, each when it begins and when it is over. What stands is a record in
the tenant's events stream (`registry.AlarmsRecord`), written after the events: a crash between them tells one twice,
under ids that differ, and never none.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from pywhatsweb.contracts import codec, events, ids, streams, subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.errors import ErrorCode, error_struct
from pywhatsweb_fleet.dispatcher.backlogs import Waiting
from pywhatsweb_fleet.dispatcher.presence import Presence
from pywhatsweb_fleet.dispatcher.reading import Tenant
from pywhatsweb_fleet.dispatcher.settings import DispatcherSettings
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_runtime import alarms, registry
from pywhatsweb_runtime.alarms import Change, Reading

log = structlog.get_logger(__name__)

MOST: Final = 1000
"""Conditions of one tenant that stand at once; more would not fit one record, and say nothing new."""
_LAGGING: Final = ("commands", "record")
_BOUNDED: Final = (streams.commands_name, streams.outbox_name, streams.events_name)
"""Streams that refuse what is too much."""


class Alarms:
    """``begin`` before a round over tenants, `look` at each of them."""

    def __init__(self, deps: Deps, presence: Presence, settings: DispatcherSettings) -> None:
        """``presence`` hears what ``deps.holds`` hears."""
        self._deps = deps
        self._presence = presence
        self._settings = settings
        self._sessions: Mapping[TenantId, list[str]] = {}
        self._few_since: dict[TenantId, float] = {}
        self._disk = 0.0

    async def begin(self) -> None:
        """What is the same for all tenants: which workers live, which sessions are on record, the disk."""
        await self._deps.engines.refresh()
        self._presence.alive(self._deps.engines.live)
        sessions: defaultdict[TenantId, list[str]] = defaultdict(list)
        for key in self._deps.directory.sessions():
            tenant, _, session = key.partition(".")
            sessions[TenantId(tenant)].append(session)
        self._sessions = sessions
        self._presence.forget((tenant, session) for tenant, of in sessions.items() for session in of)
        self._disk = await asyncio.to_thread(disk_used, Path(self._settings.data_dir))
        self._deps.metrics.disk_used.set(self._disk)

    async def look(self, tenant: TenantId, waiting: Mapping[str, Waiting]) -> None:
        """Tells what has changed. Raises ApiError or BrokerUnavailable: then it is looked at again."""
        view = self._deps.directory.tenants.get(tenant)
        if view is None or not self._deps.holds.complete:
            return
        stored = await self._deps.bus.last(
            streams.events_name(tenant), subjects.now(tenant, subjects.NO_SESSION)
        )
        standing = registry.decode_alarms(stored.data).standing if stored is not None else {}
        await self._deps.directory.refresh(tenant, self._sessions.get(tenant, ()))
        readings = [
            *self._sessions_of(tenant),
            *self._lags(waiting),
            *await self._streams(tenant),
            *self._disks(tenant),
        ]
        told = self._bounded(standing, alarms.changes(standing, readings, time.time_ns() // 1_000_000))
        if not told:
            return
        for change in told:
            await self._tell(view, change)
        await self._deps.bus.compare_and_set(
            subjects.now_ingest(tenant, subjects.NO_SESSION),
            registry.encode(registry.AlarmsRecord(standing=alarms.after(standing, told))),
            stored.sequence if stored is not None else 0,
            {"Nats-Rollup": "sub"},
        )

    @staticmethod
    def _bounded(standing: Mapping[str, int], found: list[Change]) -> list[Change]:
        over = [change for change in found if change.over]
        begun = [change for change in found if not change.over]
        room = max(0, MOST - len(standing) + len(over))
        if len(begun) > room:
            log.warning("too many alerts stand; some are not told", untold=len(begun) - room)
        return over + begun[:room]

    def _sessions_of(self, tenant: TenantId) -> Iterator[Reading]:
        """Of those that are on record still."""
        find = self._deps.directory.session
        known = [
            (name, record)
            for name in self._sessions.get(tenant, [])
            if (record := find(tenant, name)) is not None
        ]
        states = [(name, self._presence.of(tenant, name, record)) for name, record in known]
        limit_s = self._settings.alert_down_s
        now_ms = time.time_ns() // 1_000_000
        for name, state in states:
            down_s = (now_ms - state.since) / 1000
            bad = state.down and limit_s > 0 and (state.ended or down_s > limit_s)
            details = {"status": state.status, "reason": state.reason, "worker": state.worker}
            yield Reading("session_down", bad, details, session=name, error=state.error)
        working = sum(state.works and not state.down for _, state in states)
        yield self._few(tenant, working, len(known))

    def _few(self, tenant: TenantId, working: int, known: int) -> Reading:
        """Below the minimum for as long as a session may be down: while everything starts, few work."""
        fewest = min(self._settings.alert_min_sessions, known)
        bad: bool | None = False
        if working >= fewest:
            self._few_since.pop(tenant, None)
        else:
            since = self._few_since.setdefault(tenant, time.monotonic())
            bad = True if time.monotonic() - since >= self._settings.alert_down_s else None
        details = {"working": working, "sessions": known, "limit": self._settings.alert_min_sessions}
        return Reading("few_active_sessions", bad, details)

    def _lags(self, waiting: Mapping[str, Waiting]) -> Iterator[Reading]:
        limit_s = self._settings.alert_lag_s
        for stage in _LAGGING:
            found = waiting[stage]
            details = {
                "stage": stage,
                "age_s": round(found.age_s, 1),
                "messages": found.messages,
                "limit_s": limit_s,
            }
            yield Reading("lag", alarms.beyond(found.age_s, limit_s), details, about=stage)

    async def _streams(self, tenant: TenantId) -> list[Reading]:
        found = []
        for name in _BOUNDED:
            info = await self._deps.bus.api(f"STREAM.INFO.{name(tenant)}")
            bound = int(info["config"].get("max_bytes", 0))
            if bound > 0:
                stream = name(tenant).removesuffix(f"_{tenant}")
                found.append(
                    _fill(
                        "stream_nearly_full",
                        info["state"]["bytes"] / bound,
                        self._settings.alert_stream_fill,
                        stream,
                    )
                )
        return found

    def _disks(self, tenant: TenantId) -> Iterable[Reading]:
        """The machine's disk is nobody's but the operator's."""
        if tenant == self._settings.alert_tenant:
            yield _fill("disk_nearly_full", self._disk, self._settings.alert_disk_fill, "data")

    async def _tell(self, tenant: Tenant, change: Change) -> None:
        reading = change.reading
        session = SessionId(reading.session) if reading.session else subjects.NO_SESSION
        code = ErrorCode.from_wire(reading.error) if reading.error else None
        event = events.AlertEvent(
            id=ids.stable_event_id(tenant.key, "alarm", reading.key, str(change.since), str(change.over)),
            tenant_id=tenant.id,
            session_id=session,
            timestamp=events.timestamp(),
            data=change.alert(error_struct(code) if code is not None else None),
        )
        headers = events.headers(event, tenant.form)
        headers["Nats-TTL"] = f"{tenant.record.limits.replay_seconds}s"
        subject = subjects.event_ingest(tenant.id, session, "alert")
        await self._deps.publisher.publish(subject, codec.encode(event, tenant.form), headers)
        log.warning(
            "alert over" if change.over else "alert", tenant=tenant.id, session=session, kind=reading.kind
        )


def _fill(kind: str, used: float, limit: float, what: str) -> Reading:
    """Of what fills up. Over when there is room again as much as the limit leaves, and half as much more."""
    bad = limit > 0 and (True if used > limit else None if used > limit - (1 - limit) / 2 else False)
    details: dict[str, Any] = {"what": what, "used": round(used, 4), "limit": limit}
    return Reading(kind, bad, details, about=what)


def disk_used(path: Path) -> float:
    """The share of a disk that is used (0 to 1), for those without root's privileges; 0 where it cannot be seen."""
    try:
        found = shutil.disk_usage(path if path.exists() else path.absolute().anchor)
    except OSError:
        return 0.0
    room = found.used + found.free
    return found.used / room if room else 0.0
