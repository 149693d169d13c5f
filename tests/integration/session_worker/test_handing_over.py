"""A worker that is told to stop hands its sessions over; one that joins gets its share, and little moves."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_runtime import registry
from tests.support import NatsServer, wait_until
from tests.support.fleet import Tenant, platform, worker, worker_settings

SESSIONS = [f"s{number}" for number in range(6)]


async def owners(tenant: Tenant) -> dict[str, str | None]:
    """Who is on record as each session's owner."""
    found: dict[str, str | None] = {}
    for session in SESSIONS:
        subject = subjects.own(tenant.name, SessionId(session))
        stored = await tenant.bus.last(streams.events_name(tenant.name), subject)
        found[session] = registry.decode_own(stored.data).worker if stored is not None else None
    return found


async def test_a_stopped_worker_leaves_nothing_to_wait_for(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """SIGTERM under load: when it returns, no session is on record as its own, so nobody waits for its lease to end;
    every command is taken once, in its order."""
    first = worker_settings(nats_server.url, tmp_path, key, worker_id="w1")
    second = worker_settings(nats_server.url, tmp_path, key, worker_id="w2", rebalance_per_second=0)
    async with platform(nats_server.url, "acme") as (_, (acme,)), contextlib.AsyncExitStack() as stack:
        leaving = await stack.enter_async_context(worker(first))
        for session in SESSIONS:
            await acme.wish(session)
        await acme.working(*SESSIONS)
        assert set((await owners(acme)).values()) == {"w1"}
        await stack.enter_async_context(worker(second))
        for number in range(40):
            for session in SESSIONS:
                await acme.enqueue(session, f"{session}-{number}", f"{session}-{number}")
        await wait_until(lambda: acme.statuses("s0-5") != [], 20)
        await leaving.stop()
        assert "w1" not in (await owners(acme)).values()
        await wait_until(lambda: all("sent" in acme.statuses(f"{s}-39") for s in SESSIONS), 60)
        assert set((await owners(acme)).values()) == {"w2"}
        assert len(acme.of("qr")) == len(SESSIONS), "none had to be scanned again"
        for session in SESSIONS:
            firsts = dict.fromkeys(
                event["data"]["command_id"]
                for event in acme.of("status", session)
                if event["data"]["status"] == "sent"
            )
            assert [*firsts] == [f"{session}-{number}" for number in range(40)]
        assert len({accepted.id for accepted in whatsapp.accepted}) == 40 * len(SESSIONS)


async def test_a_worker_that_joins_gets_its_share_by_few_moves(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Half of the sessions move, each once, and then nothing moves any more."""
    settings = [
        worker_settings(nats_server.url, tmp_path, key, worker_id=name, rebalance_per_second=20)
        for name in ("w1", "w2")
    ]
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings[0]):
        for session in SESSIONS:
            await acme.wish(session)
        await acme.working(*SESSIONS)
        acme.events.clear()
        async with worker(settings[1]):

            async def is_even() -> bool:
                found = list((await owners(acme)).values())
                return found.count("w1") == found.count("w2") == len(SESSIONS) // 2

            await wait_until(is_even, 60)
            moved = [session for session, name in (await owners(acme)).items() if name == "w2"]
            await acme.working(*moved)
            for session in SESSIONS:
                await acme.enqueue(session, f"{session}-after")
            await wait_until(lambda: all("sent" in acme.statuses(f"{s}-after") for s in SESSIONS), 30)
            assert await is_even()
            assert {event["session_id"] for event in acme.of("session")} == set(moved)
            assert acme.of("qr") == []
