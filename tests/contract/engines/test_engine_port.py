"""What every engine owes to the port, run on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, Pairing, Recipient
from tests.contract.engines.host import RecordingHost
from tests.contract.engines.worlds import (
    FRIEND,
    SANDBOX,
    SimulatedWorld,
    World,
    new_number,
    paired,
    sandbox_world,
    text,
)
from tests.support import wait_until

BAILEYS = pytest.param(
    "baileys",
    marks=[
        pytest.mark.skipif(not SANDBOX.exists(), reason="the sandbox is not here"),
        pytest.mark.xdist_group("baileys"),
    ],
)


@pytest_asyncio.fixture(params=["simulated", BAILEYS])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A WhatsApp of the test's own and an engine, started, with a lease that outlasts the test."""
    if request.param == "simulated":
        simulated = SimulatedWorld()
        await simulated.engine.start()
        simulated.engine.lease(600_000)
        yield simulated
        await simulated.engine.stop()
        return
    async with sandbox_world(tmp_path) as real:
        await real.engine.start()
        real.engine.lease(600_000)
        try:
            yield real
        finally:
            await real.engine.stop()


@pytest.fixture
def number() -> str:
    return new_number()


async def test_a_new_session_connects_and_shows_a_qr(world: World) -> None:
    """The states come in order, and the QR has the form that phones read, with its end and its number."""
    host = RecordingHost()
    await host.open(world.engine, "t/new", settings=world.settings)
    shown = await host.until("qr")
    assert [s.state for s in host.states] == ["connecting", "qr"]
    assert shown.code is not None
    assert 200 < len(shown.code) < 700
    assert shown.code.count(",") >= 3
    assert shown.attempt == 1
    assert shown.expires_at is not None


async def test_a_pairing_code_is_shown_for_a_number(world: World, number: str) -> None:
    """Eight characters that the phone can type, and the session opens."""
    host = RecordingHost()
    pairing = Pairing(method="code", phone_number=number)
    if not isinstance(world, SimulatedWorld):
        await world._client.post("/api/phones", json={"number": number})  # type: ignore[attr-defined]
    await host.open(world.engine, "t/code", settings=world.settings, pairing=pairing)
    shown = await host.until("pairing_code")
    assert shown.code is not None
    assert len(shown.code) == 8
    assert shown.code.isalnum()
    await world.confirm("t/code", number, shown)
    await host.until("open", "closed")
    assert host.record.creds is not None


async def test_pairing_ends_open_with_credentials_kept(world: World, number: str) -> None:
    """Once paired the session is open under the account's own number, and its credentials are durable."""
    host = await paired(world, "t/pair", number)
    assert host.record.creds
    me = host.states[-1].me
    assert me is not None
    assert me.pn is not None
    assert me.pn.startswith("+")


async def test_stored_credentials_resume_without_a_qr(world: World, number: str) -> None:
    """Opened again from what was stored, no QR is shown."""
    host = await paired(world, "t/resume", number)
    assert host.link is not None
    await host.link.close("stop")
    again = RecordingHost(host.record)
    await again.open(world.engine, "t/resume", 2, settings=world.settings)
    await again.until("open")
    assert "qr" not in [s.state for s in again.states]


async def test_acts_are_acknowledged_in_the_order_of_the_calls(world: World, number: str) -> None:
    """Twenty calls at once arrive once each, in order, each answered under its own id."""
    host = await paired(world, "t/order", number)
    assert host.link is not None
    wanted = [text(n) for n in range(20)]
    done = await asyncio.gather(*(host.link.act(a) for a in wanted))
    assert [d.message_id for d in done] == [a.id for a in wanted]
    assert all(d.at > 1_600_000_000_000 for d in done)
    await wait_until(lambda: _arrived(world, "t/order", number, 20), 10)
    assert await world.arrived("t/order", number) == [a.id for a in wanted]


async def _arrived(world: World, session: str, number: str, count: int) -> bool:
    return len(await world.arrived(session, number)) >= count


async def _introduce(world: World, host: RecordingHost, session: str, number: str) -> None:
    """The contact's first message: only later ones are sure of their order (see the test of the first ones)."""
    await world.receive(session, number, "hello")
    await wait_until(lambda: host.kinds("message"), 10)


def _has_messages(host: RecordingHost, count: int) -> bool:
    return len(host.kinds("message")) == count


@pytest.mark.parametrize(
    ("code", "expected"),
    [(463, "E_WHATSAPP_REACHOUT_LIMITED"), (479, "E_WHATSAPP_STALE_SESSION"), (421, "E_WHATSAPP_ADDRESSING")],
)
async def test_a_nack_fails_the_act_under_its_code(
    world: World, number: str, code: int, expected: str
) -> None:
    """A refused send is certain: it is not uncertain, and the next one goes."""
    host = await paired(world, "t/nack", number)
    assert host.link is not None
    await world.fault("t/nack", number, "nack", code=code)
    with pytest.raises(EngineError) as refused:
        await host.link.act(text(1))
    assert (refused.value.code, refused.value.uncertain) == (expected, False)
    assert (await host.link.act(text(2))).message_id == text(2).id


async def test_an_act_whose_link_closes_is_uncertain(world: World, number: str) -> None:
    """Without an answer nobody knows: the act says so, and the session may be opened again."""
    host = await paired(world, "t/lost", number)
    assert host.link is not None
    await world.fault("t/lost", number, "ack_lost_close")
    with pytest.raises(EngineError) as lost:
        await host.link.act(text(1))
    assert (lost.value.code, lost.value.uncertain) == ("E_CONNECTION_LOST", True)
    closed = await host.until("closed")
    assert closed.retry


async def test_an_act_that_is_unknown_is_refused(world: World, number: str) -> None:
    """An action or a kind of message that nobody knows, while the others work."""
    host = await paired(world, "t/unknown", number)
    assert host.link is not None
    to = Recipient(pn=FRIEND)
    for action in (
        Action("send", "3EB0AA", to, {"type": "smell", "smell": {}}),
        Action("dance", "3EB0AB", to, {}),
    ):
        with pytest.raises(EngineError) as refused:
            await host.link.act(action)
        assert (refused.value.code, refused.value.uncertain) == ("E_UNSUPPORTED_TYPE", False)
    assert (await host.link.act(text(1))).message_id == text(1).id


async def test_units_are_numbered_and_in_order(world: World, number: str) -> None:
    """Units count from 1 without a gap, inbound messages in the order in which they were written."""
    host = await paired(world, "t/units", number)
    await _introduce(world, host, "t/units", number)
    assert host.link is not None
    await host.link.close("stop")
    host = RecordingHost(host.record)
    await host.open(world.engine, "t/units", 2, settings=world.settings)
    await host.until("open")
    for n in range(10):
        await world.receive("t/units", number, f"in {n}")
    await wait_until(lambda: len(host.kinds("message")) == 10, 10)
    assert [u.unit for u in host.units] == list(range(1, len(host.units) + 1))
    assert [e.data["text"]["body"] for e in host.kinds("message")] == [f"in {n}" for n in range(10)]
    message = host.kinds("message")[0].data
    assert message["from_self"] is False
    assert {"id", "chat", "from", "type", "sent_at", "offline", "history"} <= set(message)


async def test_the_first_messages_of_a_chat_keep_their_order(world: World, number: str) -> None:
    """Two messages of somebody who never wrote before come in the order in which they were written.

    Baileys by itself lets the second overtake the first: it stores a new chat's LID before it queues the message.
    """
    host = await paired(world, "t/first", number)
    strangers = [f"+55119666600{n:02d}" for n in range(12)]
    for n, stranger in enumerate(strangers, 1):
        await world.receive("t/first", number, "one", sender=stranger)
        await world.receive("t/first", number, "two", sender=stranger)
        await wait_until(partial(_has_messages, host, 2 * n), 10)
    assert [e.data["text"]["body"] for e in host.kinds("message")] == ["one", "two"] * len(strangers)


async def test_what_was_not_committed_is_delivered_again(world: World, number: str) -> None:
    """Inbound that was never made durable comes again after the link was lost; what was, does not."""
    host = await paired(world, "t/again", number)
    await world.receive("t/again", number, "kept")
    await wait_until(lambda: host.kinds("message"), 10)
    host.hold = True
    await world.receive("t/again", number, "lost")
    await wait_until(lambda: len(host.kinds("message")) == 2, 10)
    first = host.kinds("message")[1]
    await world.cut("t/again", number)
    await host.until("closed")
    again = RecordingHost(host.record)
    await again.open(world.engine, "t/again", 2, settings=world.settings)
    await wait_until(lambda: again.kinds("message"), 15)
    repeated = again.kinds("message")[0]
    assert (repeated.data["id"], repeated.data["text"]) == (first.data["id"], first.data["text"])
    assert again.link is not None
    await again.link.act(text(1))
    assert [e.data["text"]["body"] for e in again.kinds("message")] == ["lost"]


async def test_sends_wait_for_what_came_before_them_to_be_durable(world: World, number: str) -> None:
    """The gate: while an inbound message is not committed nothing leaves for WhatsApp; then it does."""
    host = await paired(world, "t/gate", number)
    await asyncio.sleep(0.3)
    host.hold = True
    await world.receive("t/gate", number, "first")
    await wait_until(lambda: host.kinds("message"), 10)
    assert host.link is not None
    act = asyncio.create_task(host.link.act(text(1)))
    await asyncio.sleep(0.3)
    assert not act.done()
    assert await world.arrived("t/gate", number) == []
    host.hold = False
    host.commit()
    assert (await asyncio.wait_for(act, 10)).message_id == text(1).id


async def test_inbound_stops_at_the_credit(world: World, number: str) -> None:
    """Past 64 uncommitted units nothing more comes in; committing lets the rest in."""
    host = await paired(world, "t/credit", number)
    await _introduce(world, host, "t/credit", number)
    host.events.clear()
    host.hold = True
    for n in range(100):
        await world.receive("t/credit", number, f"in {n}")
    await wait_until(lambda: len(host.kinds("message")) >= 20, 10)
    await asyncio.sleep(0.5)
    # Each message may bring a unit of keys; what was read from the socket already may come on top.
    assert len(host.kinds("message")) < 100
    host.hold = False
    host.commit()
    await wait_until(lambda: len(host.kinds("message")) == 100, 15)
    assert [e.data["text"]["body"] for e in host.kinds("message")] == [f"in {n}" for n in range(100)]


async def test_a_lapsed_lease_cuts_every_link(world: World, number: str) -> None:
    """Without a newer lease all sessions close, and an act then fails."""
    host = await paired(world, "t/lease", number)
    world.engine.lease(150)
    closed = await host.until("closed", timeout=3)
    assert closed.reason == "lease_lapsed"
    assert closed.retry
    assert host.link is not None
    with pytest.raises(EngineError) as lost:
        await host.link.act(text(1))
    assert lost.value.code == "E_CONNECTION_LOST"
    world.engine.lease(600_000)
    again = RecordingHost(host.record)
    await again.open(world.engine, "t/lease", 2, settings=world.settings)
    await again.until("open")


async def test_closing_twice_is_closing_once(world: World, number: str) -> None:
    """The second call does nothing, and afterwards acts fail as lost."""
    host = await paired(world, "t/close", number)
    assert host.link is not None
    await host.link.close("stop")
    await host.link.close("logout")
    closed = [s for s in host.states if s.state == "closed"]
    assert [c.reason for c in closed] == ["stopped"]
    host.link.committed(1)
    with pytest.raises(EngineError) as lost:
        await host.link.act(text(1))
    assert (lost.value.code, lost.value.uncertain) == ("E_CONNECTION_LOST", False)


async def test_logging_out_unlinks_the_device(world: World, number: str) -> None:
    """The stored credentials open nothing any more."""
    host = await paired(world, "t/logout", number)
    assert host.link is not None
    await host.link.close("logout")
    assert host.states[-1].reason == "logged_out"
    again = RecordingHost(host.record)
    await again.open(world.engine, "t/logout", 2, settings=world.settings)
    closed = await again.until("closed", "open")
    assert (closed.state, closed.reason, closed.retry) == ("closed", "logged_out", False)


async def test_hostile_content_disturbs_nobody_else(world: World, number: str) -> None:
    """Content of the wrong shape fails its own act; the session and its neighbour go on."""
    host = await paired(world, "t/hostile", number)
    neighbour = await paired(world, "t/neighbour", new_number())
    assert host.link is not None
    assert neighbour.link is not None
    hostile: list[dict[str, Any]] = [
        {"type": "smell"},
        {"type": "smell", "smell": object()},
        {"type": "__proto__", "__proto__": {"a": 1}},
        {"type": None},
        {"type": "\ud7ff\x00" * 1000},
    ]
    for n, content in enumerate(hostile):
        with pytest.raises(EngineError):
            await asyncio.wait_for(
                host.link.act(Action("send", f"3EB0F{n}", Recipient(pn=FRIEND), content)), 10
            )
    await asyncio.wait_for(host.link.act(text(1)), 10)
    await asyncio.wait_for(neighbour.link.act(text(2)), 10)


async def test_stopping_the_engine_closes_its_sessions(world: World, number: str) -> None:
    """Every session hears `stopped` within the port's five seconds; credentials stay good."""
    host = await paired(world, "t/stop", number)
    await asyncio.wait_for(world.engine.stop(), 5)
    assert host.closed is not None
    assert host.closed.reason == "stopped"
    assert host.closed.retry
