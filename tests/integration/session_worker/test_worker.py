"""The session worker with the simulated engine, on a real broker and a real database."""

from __future__ import annotations

from pathlib import Path

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import BrokerUnavailable
from tests.support import NatsServer, wait_until
from tests.support.fleet import platform, worker, worker_settings


async def test_a_session_pairs_and_sends(nats_server: NatsServer, tmp_path: Path, key: str) -> None:
    """From the wish to run a session through QR and WORKING to a read message, all told as events."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        assert [e["data"]["status"] for e in acme.of("session")][:3] == [
            "STARTING",
            "SCAN_QR_CODE",
            "WORKING",
        ]
        assert acme.of("qr")[0]["data"]["image"].startswith("data:image/png;base64,")
        for number in range(5):
            await acme.enqueue("s1", f"c{number}", f"text {number}")
        await wait_until(lambda: all("read" in acme.statuses(f"c{n}") for n in range(5)), 10)
        for number in range(5):
            assert acme.statuses(f"c{number}") == ["sent", "delivered", "read"]
        outbound = [e["data"] for e in acme.of("message") if e["data"]["origin"] == "outbound"]
        assert [m["text"]["body"] for m in outbound] == [f"text {n}" for n in range(5)]
        queue = await bus.first_from(streams.outbox_name(acme.name), subjects.out(acme.name, SessionId("s1")))
        assert queue is None


async def test_a_restart_resumes_without_a_qr(nats_server: NatsServer, tmp_path: Path, key: str) -> None:
    """The credentials lie in the database: another worker resumes the session, and sends what waited."""
    async with platform(nats_server.url, "acme") as (_, (acme,)):
        async with worker(worker_settings(nats_server.url, tmp_path, key)):
            await acme.wish("s1")
            await acme.working("s1")
        acme.events.clear()
        await acme.enqueue("s1", "waited")
        async with worker(worker_settings(nats_server.url, tmp_path, key)):
            await acme.working("s1")
            await wait_until(lambda: "read" in acme.statuses("waited"), 10)
        assert acme.of("qr") == []


async def test_the_broker_restarts(nats_server: NatsServer, tmp_path: Path, key: str) -> None:
    """A broker that was killed comes back without the workers' bucket (it is in memory): sessions work again."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        nats_server.kill()
        nats_server.start()
        acme.events.clear()

        async def enqueued() -> bool:
            try:
                await acme.enqueue("s1", "after")
            except BrokerUnavailable:  # lost with the old connection; its id makes it safe to publish again
                return False
            return True

        await wait_until(enqueued, 20)
        await wait_until(lambda: "sent" in acme.statuses("after"), 20)


async def test_a_status_that_a_full_stream_refuses_is_told_later(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """A session that came back while its stream was full stayed RECONNECTING to everybody (chaos, SQLite, seed 204)."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        name = streams.events_name(acme.name)
        info = await bus.api(f"STREAM.INFO.{name}")
        account = whatsapp.account("acme/s1")
        before = account.link
        await bus.api(f"STREAM.UPDATE.{name}", {**info["config"], "max_bytes": 1})
        whatsapp.cut("acme/s1")
        await acme.enqueue("s1", "meanwhile")
        await wait_until(lambda: account.link not in (None, before) and whatsapp.accepted, 30)
        acme.events.clear()
        await bus.api(f"STREAM.UPDATE.{name}", info["config"])
        await acme.working("s1")
        await wait_until(lambda: "sent" in acme.statuses("meanwhile"), 30)
        now = await bus.last(name, subjects.now(acme.name, SessionId("s1")))
        assert now is not None
        assert registry.decode_now(now.data).status == "WORKING"
        assert len(whatsapp.accepted) == 1


async def test_a_code_that_a_full_stream_refuses_is_told_later(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Whoever waits for it to scan it would wait until the next one; a pairing code has no next one."""
    pairing = registry.PairingRecord(method="code", phone_number="+5511999990000")
    settings = worker_settings(nats_server.url, tmp_path, key)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        name = streams.events_name(acme.name)
        info = await bus.api(f"STREAM.INFO.{name}")
        by_hand = {"simulated": {"pair": "manual", "connect_ms": 3000}}
        await acme.wish("scanned", settings=by_hand)
        await acme.wish("typed", settings=by_hand, pairing=pairing)
        await wait_until(lambda: {e["session_id"] for e in acme.of("session")} == {"scanned", "typed"}, 30)
        await bus.api(f"STREAM.UPDATE.{name}", {**info["config"], "max_bytes": 1})
        for session in ("scanned", "typed"):
            await wait_until(lambda: whatsapp.account(f"acme/{session}").pairing is not None, 30)  # noqa: B023
        await bus.api(f"STREAM.UPDATE.{name}", info["config"])
        for session, kind, status in (
            ("scanned", "qr", "SCAN_QR_CODE"),
            ("typed", "pairing_code", "PAIRING_CODE"),
        ):
            await wait_until(lambda: acme.of(kind), 30)  # noqa: B023
            now = await bus.last(name, subjects.now(acme.name, SessionId(session)))
            assert now is not None
            state = registry.decode_now(now.data)
            assert state.status == status
            assert getattr(state, kind).code == acme.of(kind)[0]["data"]["code"]
        assert len(acme.of("qr")) == len(acme.of("pairing_code")) == 1
