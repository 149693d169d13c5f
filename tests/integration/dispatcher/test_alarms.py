"""Alerts of conditions that last: told when they begin and when they are over, whichever replica looks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.dispatcher import alarms, holds
from pywhatsweb_fleet.dispatcher.alarms import Alarms
from pywhatsweb_fleet.dispatcher.allowances import Allowances
from pywhatsweb_fleet.dispatcher.backlogs import Backlogs
from pywhatsweb_fleet.dispatcher.claims import Claims
from pywhatsweb_fleet.dispatcher.directory import following
from pywhatsweb_fleet.dispatcher.engines import Engines
from pywhatsweb_fleet.dispatcher.inboxes import Inboxes
from pywhatsweb_fleet.dispatcher.presence import Presence
from pywhatsweb_fleet.dispatcher.telling import Deps
from pywhatsweb_fleet.dispatcher.templates import Templates
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from tests.support import NatsServer, wait_until
from tests.support.dispatching import settings, text
from tests.support.fleet import Tenant, platform


class Round:
    """One replica's rounds, begun by hand."""

    def __init__(self, backlogs: Backlogs, deps: Deps) -> None:
        self._backlogs = backlogs
        self._deps = deps

    async def __call__(self) -> None:
        await self._deps.directory.sweep_tenants()
        await self._deps.directory.sweep_sessions()
        await self._deps.holds.sweep([*self._deps.directory.tenants])
        self._deps.holds.complete = True
        await self._backlogs.measure()


@contextlib.asynccontextmanager
async def rounds(bus: Bus, url: str, directory: Path, **fields: Any) -> AsyncIterator[Round]:
    presence, metrics = Presence(), Metrics()
    store = open_store(f"sqlite:///{directory / 'fleet.db'}")
    await store.migrate()
    async with (
        publishing(bus) as publisher,
        following(bus) as known,
        holds.following(bus, presence.learn) as cold,
    ):
        claims = Claims(store, 86_400_000)
        own = Inboxes(store, bus, known, cold, presence, keep_ms=claims.keep_ms)
        parts = Allowances(store), Engines(bus), Templates(store), own
        deps = Deps(bus, publisher, known, claims, metrics, cold, *parts)
        watch = Alarms(deps, presence, settings(url, directory, **fields))
        yield Round(Backlogs(bus, metrics, lambda: list(known.tenants), watch), deps)
    await store.close()


async def tell(tenant: Tenant, status: str, session: str = "s1", **fields: Any) -> None:
    """As the session's owner does, an hour ago."""
    since = (int(time.time()) - 3600) * 1000
    now = registry.NowRecord(status=status, since=since, worker="w-1", **fields)
    subject = subjects.now_ingest(tenant.name, SessionId(session))
    await tenant.bus.request(subject, registry.encode(now), headers={"Nats-Rollup": "sub"})


async def live(bus: Bus, worker: str = "w-1") -> None:
    await Bucket(bus, streams.WORKERS_BUCKET).put(worker, registry.encode(registry.WorkerRecord(engines=[])))


def told(tenant: Tenant) -> list[tuple[str, str, bool]]:
    return [(e["data"]["kind"], e["session_id"], e["data"]["resolved"]) for e in tenant.of("alert")]


async def until_told(tenant: Tenant, *wanted: tuple[str, str, bool]) -> None:
    await wait_until(
        lambda: told(tenant) == list(wanted), 20, message=f"{wanted} are told, not {told(tenant)}"
    )


async def test_a_session_that_is_down_is_told_once_and_when_it_works_again(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Each once, through many rounds and a change of replicas; what was wished (a stop, a logout) is no trouble."""
    down, over = ("session_down", "s1", False), ("session_down", "s1", True)
    async with platform(nats_server.url, "acme") as (bus, [acme]):
        for name in ("s1", "stopped", "left"):
            await acme.wish(name, wanted="running" if name == "s1" else "stopped")
        await tell(acme, "STOPPED", "stopped")
        await tell(acme, "LOGGED_OUT", "left", reason="logged_out")
        await tell(acme, "RECONNECTING", error="E_CONNECTION_LOST", reason="connection_lost")
        await live(bus)
        async with rounds(bus, nats_server.url, tmp_path) as look:
            for _ in range(3):
                await look()
            await until_told(acme, down)
            (event,) = acme.of("alert")
            assert event["data"]["error"]["code"] == "E_CONNECTION_LOST"
            assert event["data"]["details"]["status"] == "RECONNECTING"
            assert event["data"]["details"]["since"]
        async with rounds(bus, nats_server.url, tmp_path) as look:  # another replica has the tenant now
            await look()
            await tell(acme, "WORKING")
            for _ in range(3):
                await look()
            await until_told(acme, down, over)
            await tell(acme, "BANNED", error="E_WHATSAPP_BANNED", reason="banned")
            await look()
            await until_told(acme, down, over, down)
            await Bucket(bus, streams.SESSIONS_BUCKET).delete("acme.s1")
            await look()
            await until_told(acme, down, over, down, over)


async def test_a_worker_that_is_gone_and_too_few_sessions(nats_server: NatsServer, tmp_path: Path) -> None:
    """Its sessions said WORKING last; nobody else is there to say otherwise."""
    few = "few_active_sessions"
    async with platform(nats_server.url, "acme") as (bus, [acme]):
        for name in ("s1", "s2"):
            await acme.wish(name)
            await tell(acme, "WORKING", name)
        await live(bus)
        limits = {"alert_min_sessions": 5, "alert_down_s": 0.001}
        async with rounds(bus, nats_server.url, tmp_path, **limits) as look:
            await look()
            await look()
            assert told(acme) == []  # all of the two work
            await Bucket(bus, streams.WORKERS_BUCKET).delete("w-1")

            async def all_told() -> bool:
                await look()
                return len(told(acme)) == 3

            await wait_until(all_told, 30, interval=1.1)
            assert sorted(told(acme)) == [
                (few, "-", False), ("session_down", "s1", False), ("session_down", "s2", False),
            ]  # fmt: skip
            (event,) = [e for e in acme.of("alert") if e["data"]["kind"] == few]
            assert (event["data"]["details"]["working"], event["data"]["details"]["limit"]) == (0, 5)
            await live(bus)

            async def all_over() -> bool:
                await look()
                return len(told(acme)) == 6

            await wait_until(all_over, 30, interval=1.1)
            assert all(resolved for _, _, resolved in told(acme)[3:])


async def test_lag_full_streams_and_a_full_disk(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: Any
) -> None:
    """Commands that nobody takes, an outbox that fills, and the disk, which only the operator's tenant is told of."""
    limits = streams.TenantLimits(outbox_bytes=40_000)
    async with platform(nats_server.url, "acme", "other", limits=limits) as (bus, [acme, other]):
        monkeypatch.setattr(alarms, "disk_used", lambda _: 0.95)
        fields = {"alert_tenant": "acme", "alert_lag_s": 0.2}
        async with rounds(bus, nats_server.url, tmp_path, **fields) as look:
            await look()
            await until_told(acme, ("disk_nearly_full", "-", False))
            await bus.request(
                subjects.command(acme.name, SessionId("s1"), "send"), msgspec.msgpack.encode(text())
            )
            for number in range(8):
                await acme.enqueue("s1", f"c{number}", "x" * 4_500)

            async def are(*wanted: tuple[str, str, bool]) -> bool:
                await look()
                details = [e["data"]["details"] for e in acme.of("alert")]
                about = [found.get("stage", found.get("what", "")) for found in details]
                kinds = [
                    (e["data"]["kind"], of, e["data"]["resolved"])
                    for e, of in zip(acme.of("alert"), about, strict=True)
                ]
                return set(wanted) <= set(kinds) and len(kinds) == len(set(kinds))

            lag, fill = ("lag", "commands", False), ("stream_nearly_full", "WA_OUT", False)
            await wait_until(partial(are, lag, fill), 30, interval=0.2)
            await bus.purge(streams.commands_name(acme.name), ">")
            await bus.purge(streams.outbox_name(acme.name), ">")
            monkeypatch.setattr(alarms, "disk_used", lambda _: 0.86)
            lag, fill = ("lag", "commands", True), ("stream_nearly_full", "WA_OUT", True)
            await wait_until(partial(are, lag, fill), 30, interval=0.2)
            assert ("disk_nearly_full", "-", True) not in told(acme)  # it hovers
            monkeypatch.setattr(alarms, "disk_used", lambda _: 0.5)
            await wait_until(partial(are, ("disk_nearly_full", "data", True)), 30, interval=0.2)
            assert "disk_nearly_full" not in [kind for kind, _, _ in told(other)]


async def test_a_full_stream_takes_its_alert_later(nats_server: NatsServer, tmp_path: Path) -> None:
    """What cannot be told is told when there is room, and the other tenants' alerts do not wait for it."""
    async with platform(nats_server.url, "full", "well") as (bus, [full, well]):
        for tenant in (full, well):
            await tenant.wish("s1")
            await tell(tenant, "RECONNECTING")
        await live(bus)
        held = (await bus.api(f"STREAM.INFO.{streams.events_name(full.name)}"))["state"]["bytes"]
        await provision.ensure_tenant(bus, full.name, streams.TenantLimits(events_bytes=held + 10))
        async with rounds(bus, nats_server.url, tmp_path) as look:
            await look()
            await until_told(well, ("session_down", "s1", False))
            assert told(full) == []
            await provision.ensure_tenant(bus, full.name, streams.TenantLimits())
            await look()
            await until_told(full, ("session_down", "s1", False))
