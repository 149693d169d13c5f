"""The master key: rotated while the fleet sends, and missing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path

import pytest

from pywhatsweb_fleet.cli.keys import rotate_key
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from tests.support import NatsServer, wait_until
from tests.support.fleet import Tenant, platform, worker, worker_settings


async def sent(tenant: Tenant, *names: str) -> None:
    await wait_until(lambda: all("sent" in tenant.statuses(name) for name in names), 20)


async def test_the_master_key_rotates_while_sessions_send(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both keys, then the command, then the new one alone: one QR code in all, and every command sent once."""
    new = secrets.token_hex(32)
    old_first = worker_settings(nats_server.url, tmp_path, f"{key},{new}", worker_id="w1")
    new_first = worker_settings(nats_server.url, tmp_path, f"{new},{key}", worker_id="w2")
    alone = worker_settings(nats_server.url, tmp_path, new, worker_id="w3")
    monkeypatch.setenv("PWW_DATABASE_URL", f"sqlite:///{tmp_path / 'fleet.db'}")
    monkeypatch.setenv("PWW_ENCRYPTION_KEY", f"{new},{key}")
    async with platform(nats_server.url, "acme") as (_, (acme,)), contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(worker(old_first))
        await acme.wish("s1")
        await acme.working("s1")
        await acme.enqueue("s1", "c0")
        await sent(acme, "c0")
        second = await stack.enter_async_context(worker(new_first))
        await first.stop()
        for number in range(1, 20):
            await acme.enqueue("s1", f"c{number}")
        assert await asyncio.to_thread(rotate_key) == 0
        for number in range(20, 40):
            await acme.enqueue("s1", f"c{number}")
        await stack.enter_async_context(worker(alone))
        await second.stop()
        await acme.enqueue("s1", "c40")
        await sent(acme, *(f"c{number}" for number in range(41)))
        assert len(acme.of("qr")) == 1
        assert len({action.id for action in whatsapp.accepted}) == 41
        assert [a.to for a in whatsapp.accepted] == ["+5511999990001"] * len(whatsapp.accepted)


async def test_without_its_key_a_session_waits_and_is_not_ended(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """One wrong setting must not make a thousand people scan again: told by its code, and good with the key."""
    async with platform(nats_server.url, "acme") as (_, (acme,)):
        async with worker(worker_settings(nats_server.url, tmp_path, key)):
            await acme.wish("s1")
            await acme.working("s1")
        acme.events.clear()
        await acme.enqueue("s1", "waits")
        async with worker(worker_settings(nats_server.url, tmp_path, secrets.token_hex(32))):
            await wait_until(lambda: "RECONNECTING" in [e["data"]["status"] for e in acme.of("session")], 15)
            (alert,) = acme.of("alert")
            assert alert["data"]["kind"] == "credentials_unreadable"
            told = acme.of("session")[-1]["data"]
            assert told["error"]["code"] == alert["data"]["error"]["code"] == "E_CREDENTIALS_UNREADABLE"
            assert acme.statuses("waits") == []
        async with worker(worker_settings(nats_server.url, tmp_path, key)):
            await acme.working("s1")
            await sent(acme, "waits")
        assert acme.of("qr") == []
