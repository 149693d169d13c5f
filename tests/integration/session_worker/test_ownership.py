"""Who owns a session, and what somebody who no longer does can still do: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.session_worker.engines.port import CloseHow, OpenSpec, SessionHost
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_fleet.session_worker.keeper import Keeper
from pywhatsweb_fleet.session_worker.session import OwnedSession
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, wait_until
from tests.support.fleet import Tenant, platform, worker, worker_settings


async def owner(bus: Bus, tenant: Tenant, session: str) -> tuple[str | None, int]:
    stored = await bus.last(streams.events_name(tenant.name), subjects.own(tenant.name, SessionId(session)))
    assert stored is not None
    return registry.decode_own(stored.data).worker, stored.sequence


async def take(bus: Bus, tenant: Tenant, session: str, worker_id: str) -> int:
    """As another worker does that thinks the owner dead."""
    _, sequence = await owner(bus, tenant, session)
    return await bus.compare_and_set(
        subjects.own_ingest(tenant.name, SessionId(session)),
        registry.encode(registry.OwnRecord(worker=worker_id)),
        sequence,
        {"Nats-Rollup": "sub"},
    )


async def test_two_workers_that_start_together_take_nothing_from_each_other(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Seed 1 of the simulated runs: a worker that had not heard of an owner took the session from it, alive."""
    names = [f"s{number}" for number in range(20)]
    settings = worker_settings(nats_server.url, tmp_path, key)
    other = worker_settings(nats_server.url, tmp_path, key)
    async with (
        platform(nats_server.url, "acme") as (_, (acme,)),
        worker(settings),
        worker(other),
    ):
        for name in names:
            await acme.wish(name)
        await acme.working(*names)
        for name in names:
            epochs = {event["epoch"] for event in acme.of("session", name)}
            assert len(epochs) == 1, name


async def test_a_lapse_while_a_session_is_taken_opens_no_link(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Baileys seed 1: a link that nobody knew stayed open, and replaced that of the next owner."""
    taken: list[int] = []
    opened: list[int] = []
    subscribe, open_link = Keeper._subscribe, SimulatedEngine.open

    async def lapse(keeper: Keeper, session_key: tuple[str, str], session: OwnedSession) -> None:
        await subscribe(keeper, session_key, session)
        taken.append(session.epoch)
        if len(taken) == 1:
            await keeper._on_fenced()

    async def note(engine: SimulatedEngine, spec: OpenSpec, host: SessionHost) -> Any:
        opened.append(spec.incarnation)
        return await open_link(engine, spec, host)

    monkeypatch.setattr(Keeper, "_subscribe", lapse)
    monkeypatch.setattr(SimulatedEngine, "open", note)
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
    assert set(opened) == set(taken[1:])


async def test_a_link_that_is_given_up_is_closed_whatever_comes(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ownership lapsed right after a session gave its link up: the job that was to close it never began."""
    sessions: list[OwnedSession] = []
    closed = asyncio.Event()
    subscribe = Keeper._subscribe

    async def note(keeper: Keeper, session_key: tuple[str, str], session: OwnedSession) -> None:
        sessions.append(session)
        await subscribe(keeper, session_key, session)

    monkeypatch.setattr(Keeper, "_subscribe", note)
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        (session,) = sessions
        link = session._link
        assert link is not None
        close = type(link).close

        async def told(closing: Any, how: CloseHow) -> None:
            await close(closing, how)
            closed.set()

        monkeypatch.setattr(type(link), "close", told)
        session._on_units_failed(RuntimeError("a unit could not be made durable"))
        session.cut()
        await asyncio.wait_for(closed.wait(), 10)


async def test_a_replaced_link_of_a_former_owner_does_not_stop_the_session(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """The new owner's login closes the old link with "replaced": that is no reason to stop the session."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        epoch = await take(bus, acme, "s1", "w-other")
        whatsapp.cut("acme/s1", "replaced")
        # w-other does not exist: once that is known, the session is taken again, which it would not be if stopped.
        await wait_until(lambda: acme.of("session", "s1")[-1]["epoch"] > epoch, 15)
        await acme.working("s1")
        entry = await Bucket(bus, streams.SESSIONS_BUCKET).get("acme.s1")
        assert entry is not None
        assert entry.value is not None
        assert registry.decode_session(entry.value).wanted == "running"
        assert "REPLACED" not in [event["data"]["status"] for event in acme.of("session")]


async def test_a_frozen_owner_that_wakes_in_a_login_does_not_end_the_session(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Its login replaces the new owner's link once, before its lease ends it; who does so again is somebody else."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        epoch = await take(bus, acme, "s1", "w-frozen")
        whatsapp.receive("acme/s1", "+5511999990001", "hello")  # now this worker notices
        await wait_until(lambda: acme.of("session", "s1")[-1]["epoch"] > epoch, 30)
        await acme.working("s1")
        told = len(acme.of("session", "s1"))
        whatsapp.cut("acme/s1", "replaced")
        await wait_until(lambda: len(acme.of("session", "s1")) > told, 20)
        await acme.working("s1")
        whatsapp.cut("acme/s1", "replaced")
        await wait_until(lambda: acme.of("session", "s1")[-1]["data"]["status"] == "REPLACED", 20)
        assert "REPLACED" not in [event["data"]["status"] for event in acme.of("session")[:-1]]


async def test_a_zombie_tells_nothing_and_acknowledges_nothing(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """What a former owner hears after the takeover stays with WhatsApp, and its queue stays untouched."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        old = acme.of("session", "s1")[-1]["epoch"]
        new = await take(bus, acme, "s1", "w-other")
        whatsapp.receive("acme/s1", "+5511999990001", "hello", message_id="3AHELLO")
        await acme.enqueue("s1", "c1")
        await wait_until(lambda: acme.of("message"), 20)
        assert all(event["epoch"] > new for event in acme.of("message") + acme.of("status"))
        assert not [e for e in acme.events[-50:] if e.get("epoch") == old and e["event"] == "message"]
        assert len([e for e in acme.of("message") if e["data"]["id"] == "3AHELLO"]) == 1
        await wait_until(lambda: "sent" in acme.statuses("c1"), 10)


async def test_a_session_whose_last_word_cannot_be_told_is_not_forgotten(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Logged out while the broker is down: told, and its record stopped, as soon as the broker is back."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        nats_server.kill()
        whatsapp.unlink("acme/s1")
        nats_server.start()

        async def stopped() -> bool:
            try:
                entry = await Bucket(bus, streams.SESSIONS_BUCKET).get("acme.s1")
            except BrokerUnavailable:  # asked while the connection broke
                return False
            assert entry is not None
            return entry.value is not None and registry.decode_session(entry.value).wanted == "stopped"

        await wait_until(stopped, 25)
        assert (await owner(bus, acme, "s1"))[0] is None
