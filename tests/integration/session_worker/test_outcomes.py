"""Where a command ends: refused, held, unknown, set aside; each time once and in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pywhatsweb.contracts import ids, streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.session_worker import session
from pywhatsweb_fleet.session_worker.engines.port import Action, Done
from pywhatsweb_fleet.session_worker.engines.simulated.link import SimulatedSession
from pywhatsweb_fleet.session_worker.engines.simulated.settings import CloseLink, DropAck, Nack, Pass
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_fleet.session_worker.figures import LEAST
from pywhatsweb_fleet.storage import optouts, people
from pywhatsweb_fleet.storage.people import Sighting
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import registry
from tests.support import NatsServer, wait_until
from tests.support.fleet import Tenant, platform, worker, worker_settings

KNOWN, STRANGER, OTHER = "+5511999990001", "+5511999990002", "+5511999990003"


def code(tenant: Tenant, command: str) -> str | None:
    data = [e["data"] for e in tenant.of("status") if e["data"]["command_id"] == command]
    return (data[-1].get("error") or {}).get("code") if data else None


async def test_after_a_463_only_known_chats_are_written_to(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """The next cold contact is held without asking WhatsApp; known chats go on; the hold is in the session's state."""
    settings = worker_settings(nats_server.url, tmp_path, key, cold_hold_s=60)
    async with platform(nats_server.url, "acme") as (bus, (acme,)):
        async with worker(settings):
            await acme.wish("s1")
            await acme.working("s1")
            await acme.enqueue("s1", "before", to=KNOWN)
            await wait_until(lambda: "sent" in acme.statuses("before"), 5)
            whatsapp.script("acme/s1", Nack(code=463))
            await acme.enqueue("s1", "limited", to=STRANGER)
            await acme.enqueue("s1", "held", to=OTHER)
            await acme.enqueue("s1", "known", to=KNOWN)
            await wait_until(lambda: "sent" in acme.statuses("known"), 5)
            assert acme.statuses("limited") == acme.statuses("held") == ["failed"]
            assert code(acme, "held") == "E_WHATSAPP_REACHOUT_LIMITED"
            assert [a.to for a in whatsapp.accepted] == [KNOWN, KNOWN]
            assert [e["data"]["kind"] for e in acme.of("alert")] == ["reachout_limited"]
            stored = await bus.last(streams.events_name(acme.name), subjects.now(acme.name, SessionId("s1")))
            assert stored is not None
            assert registry.decode_now(stored.data).cold_until > 0
        async with worker(settings):  # the next owner keeps to it
            acme.events.clear()
            await acme.working("s1")
            await acme.enqueue("s1", "later", to=OTHER)
            await wait_until(lambda: acme.statuses("later") == ["failed"], 5)


async def test_what_stays_refused_is_tried_thrice_and_set_aside(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """A retryable refusal: three tries, then failed, with a dead letter that says why; the next command goes on."""
    settings = worker_settings(nats_server.url, tmp_path, key, retry_pause_s=0.05)
    async with platform(nats_server.url, "acme") as (bus, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        whatsapp.script("acme/s1", Nack(code=479, times=2), Pass(), Nack(code=479, times=3))
        for name in ("passes", "stays", "next"):
            await acme.enqueue("s1", name)
        await wait_until(lambda: "sent" in acme.statuses("next"), 5)
        assert acme.statuses("passes")[0] == "sent"
        assert acme.statuses("stays") == ["failed"]
        letter = await bus.last(
            streams.deadletters_name(acme.name),
            subjects.deadletter(acme.name, "s1", "command", "*", "*"),
        )
        assert letter is not None
        assert letter.headers["Pww-Code"] == "E_WHATSAPP_STALE_SESSION"
        assert letter.headers["Pww-Attempts"] == "3"
        assert letter.headers["Pww-Command-Id"] == "stays"
        (told,) = acme.of("deadletter")
        assert letter.subject.endswith(f".{told['data']['id']}")
        assert (told["causation_id"], told["data"]["kind"]) == ("stays", "command")
        assert told["data"]["error"]["code"] == "E_WHATSAPP_STALE_SESSION"


async def test_no_acknowledgement_is_unknown_and_settled_by_a_receipt(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """`unknown` after the time-out, with an alert; a receipt that comes later shows that it was sent."""
    settings = worker_settings(nats_server.url, tmp_path, key, ack_timeout_s=0.3)
    slow = {"simulated": {"delivered_ms": 800, "read_ms": 900}}
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1", settings=slow)
        await acme.working("s1")
        whatsapp.script("acme/s1", DropAck(accepted=True), DropAck(accepted=False), Pass())
        for name in ("taken", "not-taken", "next"):
            await acme.enqueue("s1", name)
        await wait_until(lambda: "read" in acme.statuses("next"), 8)
        assert acme.statuses("taken") == ["unknown", "delivered", "read"]
        assert acme.statuses("not-taken") == ["unknown"]
        assert [e["data"]["kind"] for e in acme.of("alert")][:2] == ["ack_timeout", "ack_timeout"]


async def test_a_silent_session_is_found_and_its_link_opened_anew(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WORKING, but WhatsApp answers nothing: asked twice, alerted, and linked again."""
    mute = True
    act = SimulatedSession.act

    async def muted(self: SimulatedSession, action: Action) -> Done:
        if mute and action.action == "check_numbers":
            await asyncio.sleep(60)
        return await act(self, action)

    monkeypatch.setattr(SimulatedSession, "act", muted)
    settings = worker_settings(nats_server.url, tmp_path, key, heartbeat_s=0.5, heartbeat_timeout_s=0.3)
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1")
        await acme.working("s1")
        await wait_until(lambda: acme.of("session", "s1")[-1]["data"]["status"] == "RECONNECTING", 10)
        mute = False
        await acme.working("s1")
        kinds = [e["data"]["kind"] for e in acme.of("alert")]
        assert kinds == ["heartbeat_failed", "heartbeat_failed", "silent_session"]
        alerts = len(kinds)
        await asyncio.sleep(2.5)  # now it answers: no further alert
        assert len(acme.of("alert")) == alerts


async def test_a_receipt_after_a_lost_acknowledgement_is_told_after_sent(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Simulated seed 10: the link broke between acceptance and acknowledgement, and `delivered` came before `sent`."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    quick = {"simulated": {"delivered_ms": 0, "read_ms": 0}}
    async with platform(nats_server.url, "acme") as (_, (acme,)), worker(settings):
        await acme.wish("s1", settings=quick)
        await acme.working("s1")
        whatsapp.script("acme/s1", Pass(), CloseLink(when="after"), CloseLink(when="after"))
        for name in ("a", "b", "c"):
            await acme.enqueue("s1", name)
        await wait_until(lambda: "read" in acme.statuses("c"), 20)
        for name in ("a", "b", "c"):
            assert acme.statuses(name) == ["sent", "delivered", "read"]
        await acme.enqueue("s1", "of-an-inbox", inbox="@support")
        await wait_until(lambda: "read" in acme.statuses("of-an-inbox"), 30)
        told = [e["data"] for e in acme.of("status")]
        named = {one["command_id"] for one in told if one.get("inbox_id") == "@support"}
        assert named == {"of-an-inbox"}
        assert [one.get("inbox_id") for one in told if one["command_id"] in named] == ["@support"] * 3


async def test_what_waits_is_not_sent_to_who_opted_out_meanwhile(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Looked at again as its turn comes, by any address of theirs; the others are sent."""
    lid = "998877665544332"
    settings = worker_settings(nats_server.url, tmp_path, key)
    store = open_store(settings.database_url)
    await store.migrate()
    await store.transact(people.observe, [Sighting("acme", STRANGER, lid, None, 1)])
    async with platform(nats_server.url, "acme") as (_, (acme,)):
        await acme.enqueue("s1", "waits", to=STRANGER)
        await acme.enqueue("s1", "other", to=OTHER)
        chat = ids.chat_key(acme.key, lid=lid)
        await store.transact(optouts.put, optouts.OptOut("acme", chat, chat, "out", 2, "request"), [chat])
        await acme.wish("s1")
        async with worker(settings):
            await acme.working("s1")
            await wait_until(lambda: "sent" in acme.statuses("other"), 30)
            assert acme.statuses("waits") == ["failed"]
            assert code(acme, "waits") == "E_CONTACT_OPTED_OUT"
            assert [a.to for a in whatsapp.accepted] == [OTHER]
    await store.close()


async def test_an_error_rate_is_told_and_ended_by_the_next_owner(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`high_error_rate` once; what stands is in the session's state, so another worker tells that it is over."""
    monkeypatch.setattr(session, "LOOK_EVERY_S", 0.1)
    settings = worker_settings(nats_server.url, tmp_path, key)

    def alerts() -> list[bool]:
        return [e["data"]["resolved"] for e in acme.of("alert") if e["data"]["kind"] == "high_error_rate"]

    async with platform(nats_server.url, "acme") as (bus, (acme,)):
        async with worker(settings):
            await acme.wish("s1")
            await acme.working("s1")
            whatsapp.script("acme/s1", Nack(code=400, times=LEAST))
            for number in range(LEAST):
                await acme.enqueue("s1", f"bad-{number}")
            await wait_until(lambda: alerts() == [False], 30, message="the failures are told")

            async def stands() -> bool:
                stored = await bus.last(
                    streams.events_name(acme.name), subjects.now(acme.name, SessionId("s1"))
                )
                return stored is not None and list(registry.decode_now(stored.data).alarms) == [
                    "high_error_rate||"
                ]

            await wait_until(stands, 30)
        async with worker(settings):
            for number in range(LEAST):
                await acme.enqueue("s1", f"good-{number}")
            await wait_until(lambda: alerts() == [False, True], 60, message="it is told to be over")
