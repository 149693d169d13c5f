"""The simulated WhatsApp: what can be scripted and set, what it keeps, what it survives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, OpenSpec, Pairing, Recipient
from pywhatsweb_fleet.session_worker.engines.simulated import (
    CloseLink,
    Delay,
    DropAck,
    Nack,
    Pass,
    SimulatedEngine,
    SimulatedWhatsApp,
)
from pywhatsweb_fleet.session_worker.engines.simulated.agenda import Agenda
from pywhatsweb_fleet.session_worker.engines.simulated.link import SEND_TYPES
from tests.contract.engines.host import Record, RecordingHost
from tests.support import wait_until

FRIEND = "+5511988887777"
QUICK: dict[str, Any] = {"pair_after_ms": 1, "delivered_ms": None, "read_ms": None}


def text(number: int, to: str = FRIEND, **more: Any) -> Action:
    content = {"type": "text", "text": {"body": f"text {number}"}}
    return Action("send", f"3EB0{number:018X}", Recipient(pn=to), content, **more)


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[SimulatedEngine]:
    made = SimulatedEngine(defaults=QUICK)
    await made.start()
    yield made
    await made.stop()


async def opened(
    engine: SimulatedEngine,
    session: str = "t/s",
    record: Record | None = None,
    incarnation: int = 1,
    **own: Any,
) -> RecordingHost:
    """Open, pairing first when the record holds no credentials."""
    host = RecordingHost(record)
    if host.record.creds is None:
        await host.open(engine, session, incarnation, settings={"simulated": own})
        await host.until("closed")
        host.states.clear()
    await host.open(engine, session, incarnation, settings={"simulated": own})
    await host.until("open")
    return host


async def act(host: RecordingHost, action: Action) -> Any:
    assert host.link is not None
    return await asyncio.wait_for(host.link.act(action), 5)


async def test_without_settings_a_session_pairs_sends_and_is_read() -> None:
    """The defaults alone give a user without Node a whole life, as WhatsApp's: 515 after pairing included."""
    engine = SimulatedEngine()
    await engine.start()
    host = RecordingHost()
    await host.open(engine, "t/life")
    closed = await host.until("closed")
    assert [s.state for s in host.states] == ["connecting", "qr", "closed"]
    assert (closed.whatsapp_code, closed.retry_at_once) == (515, True)
    await host.open(engine, "t/life")
    await host.until("open")
    await act(host, text(1))
    await wait_until(lambda: len(host.kinds("status")) == 2)
    assert [e.data["status"] for e in host.kinds("status")] == ["delivered", "read"]
    assert host.kinds("status")[0].data["message_ids"] == [text(1).id]
    await engine.stop()


async def test_qr_codes_rotate_and_end(engine: SimulatedEngine) -> None:
    """Each has its number and its end; after the last the pairing times out."""
    host = RecordingHost()
    own: dict[str, object] = {"pair": "manual", "qr_first_ms": 20, "qr_next_ms": 10, "qr_codes": 3}
    await host.open(engine, "t/qr", settings={"simulated": own})
    closed = await host.until("closed")
    shown = [s for s in host.states if s.state == "qr"]
    assert [s.attempt for s in shown] == [1, 2, 3]
    assert len({s.code for s in shown}) == 3
    assert all((s.code or "").startswith("https://wa.me/settings/linked_devices#2@") for s in shown)
    assert (closed.reason, closed.retry) == ("pairing_timeout", False)
    assert not engine.whatsapp.scan("t/qr")


async def test_the_wanted_pairing_code_is_shown_and_expires(engine: SimulatedEngine) -> None:
    """A code that was asked for is the one; without a phone number there is none."""
    host = RecordingHost()
    pairing = Pairing(method="code", phone_number=FRIEND, code="ABCD1234")
    own: dict[str, object] = {"simulated": {"pair": "manual", "code_expires_ms": 30}}
    await host.open(engine, "t/code", settings=own, pairing=pairing)
    assert (await host.until("pairing_code")).code == "ABCD1234"
    assert (await host.until("closed")).reason == "pairing_timeout"
    with pytest.raises(EngineError) as refused:
        await host.open(engine, "t/code", 2, pairing=Pairing(method="code"))
    assert refused.value.code == "E_MISSING_FIELD"


@pytest.mark.parametrize(
    "own",
    [
        {"pair": "never"},
        {"unknown": 1},
        {"ack_ms": -1},
        {"script": [{"fault": "meteor"}]},
        {"script": [{"fault": "nack", "code": 9}]},
        {"random": {"nack": 2}},
        {"number": "11"},
        "auto",
    ],
)
async def test_bad_settings_are_refused_in_words(engine: SimulatedEngine, own: Any) -> None:
    """The sentence names the field, and nothing was opened."""
    with pytest.raises(EngineError, match=r"settings\.simulated") as refused:
        await engine.open(OpenSpec("t/bad", 1, None, Pairing(), {"simulated": own}), RecordingHost())
    assert refused.value.code == "E_INVALID_FIELD"


async def test_foreign_credentials_are_refused(engine: SimulatedEngine) -> None:
    """Another engine's credentials open nothing."""
    with pytest.raises(EngineError) as refused:
        await engine.open(OpenSpec("t/x", 1, b'{"noiseKey":1}', Pairing(), {}), RecordingHost())
    assert refused.value.code == "E_WHATSAPP_BAD_SESSION"


async def test_a_script_is_taken_in_order_and_by_recipient(engine: SimulatedEngine) -> None:
    """Counted entries, a recipient's own, each kind of fault, and then peace."""
    host = await opened(engine)
    stranger = "+5511900000009"
    engine.whatsapp.script(
        "t/s",
        Pass(times=2),
        Nack(code=463, to=stranger, times=0),
        Nack(code=500),
        Delay(ms=60),
        CloseLink(when="before"),
    )
    await act(host, text(1))
    await act(host, text(2))
    with pytest.raises(EngineError, match="REACHOUT"):
        await act(host, text(3, stranger))
    with pytest.raises(EngineError, match="answered 500") as rejected:
        await act(host, text(4))
    assert rejected.value.code == "E_WHATSAPP_REJECTED"
    loop = asyncio.get_running_loop()
    began = loop.time()
    await act(host, text(5))
    assert loop.time() - began > 0.055
    with pytest.raises(EngineError) as lost:
        await act(host, text(6))
    assert lost.value.uncertain
    assert [a.id for a in engine.whatsapp.accepted] == [text(n).id for n in (1, 2, 5)]


@pytest.mark.parametrize("accepted", [True, False])
async def test_an_ack_that_never_comes_ends_with_the_link(engine: SimulatedEngine, accepted: bool) -> None:
    """Taken or not, the act waits until the link closes, and is uncertain."""
    host = await opened(engine)
    engine.whatsapp.script("t/s", DropAck(accepted=accepted))
    assert host.link is not None
    waiting = asyncio.create_task(host.link.act(text(1)))
    await act(host, text(2))
    assert not waiting.done()
    engine.whatsapp.cut("t/s", "timed_out")
    with pytest.raises(EngineError) as lost:
        await waiting
    assert lost.value.uncertain
    assert (text(1).id in [a.id for a in engine.whatsapp.accepted]) is accepted
    assert (host.states[-1].reason, host.states[-1].whatsapp_code) == ("timed_out", 408)


async def test_a_settings_script_is_not_repeated_by_reopening(engine: SimulatedEngine) -> None:
    """A session that closes by its script opens again into the rest of it."""
    own: dict[str, Any] = {"script": [{"fault": "close", "reason": "unavailable", "when": "after"}]}
    host = await opened(engine, **own)
    with pytest.raises(EngineError):
        await act(host, text(1))
    again = await opened(engine, record=host.record, incarnation=2, **own)
    await act(again, text(1))
    assert [(a.id, a.epoch) for a in engine.whatsapp.accepted] == [(text(1).id, 1), (text(1).id, 2)]


async def test_chance_is_the_same_for_the_same_seed() -> None:
    """Two runs meet the same faults, another seed others."""

    async def run(seed: int) -> list[str]:
        engine = SimulatedEngine(defaults={**QUICK, "random": {"seed": seed, "nack": 0.2, "nack_code": 421}})
        await engine.start()
        host = await opened(engine)
        outcomes = []
        for n in range(60):
            try:
                await act(host, text(n))
                outcomes.append("ok")
            except EngineError as error:
                outcomes.append(error.code)
        await engine.stop()
        return outcomes

    first = await run(1)
    assert await run(1) == first
    assert await run(2) != first
    assert 3 <= first.count("E_WHATSAPP_ADDRESSING") <= 25


async def test_contacts_answer_once_however_often_they_are_written_to(engine: SimulatedEngine) -> None:
    """An id that arrives again is the same message: one delivery, one answer."""
    host = await opened(engine, echo_ms=1, delivered_ms=1)
    await act(host, text(1))
    await act(host, text(1))
    await wait_until(lambda: host.kinds("message"))
    await asyncio.sleep(0.03)
    echo = host.kinds("message")[0].data
    assert (echo["text"]["body"], echo["from"]["pn"], echo["from_self"]) == ("text 1", FRIEND, False)
    assert (len(host.kinds("message")), len(host.kinds("status"))) == (1, 1)


async def test_every_kind_of_message_and_action_is_taken(engine: SimulatedEngine) -> None:
    """All kinds that the contracts know; acts without an answer are done at once."""
    host = await opened(engine)
    for kind in sorted(SEND_TYPES):
        await act(
            host,
            Action("send", "3EB0" + kind, Recipient(group="120363000000000001"), {"type": kind, kind: {}}),
        )
    for name in ("react", "edit", "delete", "read", "presence"):
        await act(host, Action(name, "3EB0" + name, Recipient(lid="123"), {}))
    checked = await act(host, Action("check_numbers", "x", None, {"numbers": [FRIEND]}))
    assert checked.data == [{"number": FRIEND, "exists": True}]
    file = await act(host, Action("media.get", "x", None, {"source": b"abc"}))
    assert (file.data["size"], file.data["data"]) == (3, b"abc")
    with pytest.raises(EngineError) as refused:
        await act(host, Action("media.get", "x", None, {"source": "???"}))
    assert refused.value.code == "E_INVALID_FIELD"
    assert len(engine.whatsapp.accepted) == len(SEND_TYPES) + 3


async def test_a_number_can_be_absent(engine: SimulatedEngine) -> None:
    """Checked, it is not there; written to, the send fails for certain."""
    host = await opened(engine, absent=[FRIEND])
    checked = await act(host, Action("check_numbers", "x", None, {"numbers": [FRIEND]}))
    assert checked.data[0]["exists"] is False
    with pytest.raises(EngineError) as missing:
        await act(host, text(1))
    assert (missing.value.code, missing.value.uncertain) == ("E_NOT_ON_WHATSAPP", False)


async def test_statuses_that_a_killed_worker_owed_are_told_by_the_next(tmp_path: Path) -> None:
    """What was accepted and not yet delivered and read is, after the restart; what was, is not told twice."""
    state = tmp_path / "whatsapp.jsonl"
    first = SimulatedEngine(state_file=state, defaults={**QUICK, "delivered_ms": 1, "read_ms": 60_000})
    await first.start()
    host = await opened(first)
    for n, to in enumerate((Recipient(pn=FRIEND), Recipient(lid="77"), Recipient(group="120363"))):
        await act(host, Action("send", f"3EB0{n}", to, {"type": "text", "text": {"body": "x"}}))
    await wait_until(lambda: len(host.kinds("status")) == 3)
    second = SimulatedEngine(state_file=state, defaults={**QUICK, "delivered_ms": 1, "read_ms": 1})
    await second.start()
    moved = await opened(second, record=host.record, incarnation=2)
    await wait_until(lambda: len(moved.events) == 3)
    await asyncio.sleep(0.02)
    told = [
        (e.data["status"], e.data["chat"]["pn"] or e.data["chat"]["lid"] or e.data["chat"]["group"])
        for e in moved.events
    ]
    assert told == [("read", FRIEND), ("read", "77"), ("read", "120363")]
    await first.stop()
    await second.stop()


async def test_typing_delays_only_its_own_session(engine: SimulatedEngine) -> None:
    """Sends behind a typing one wait, in order; another session's do not."""
    host, other = await opened(engine), await opened(engine, "t/other")
    assert host.link is not None
    slow = [asyncio.create_task(host.link.act(text(n, typing_ms=40 if n == 0 else 0))) for n in range(3)]
    await asyncio.sleep(0)
    await act(other, text(9))
    assert not any(task.done() for task in slow)
    await asyncio.gather(*slow)
    assert [a.id for a in engine.whatsapp.accepted] == [text(n).id for n in (9, 0, 1, 2)]


async def test_a_second_login_replaces_the_first(engine: SimulatedEngine) -> None:
    """As WhatsApp does: 440, and no retry."""
    first = await opened(engine)
    second = RecordingHost(first.record)
    await second.open(engine, "t/s", 2)
    await second.until("open")
    assert first.closed is not None
    assert (first.closed.reason, first.closed.whatsapp_code, first.closed.retry) == ("replaced", 440, False)


async def test_a_new_pairing_replaces_the_linked_device(engine: SimulatedEngine) -> None:
    """Until the phone has scanned, the device that is logged in stays; afterwards its credentials are worth nothing."""
    first = await opened(engine)
    second = RecordingHost()
    own: dict[str, object] = {"simulated": {"pair": "manual", "restart_after_pairing": False}}
    await second.open(engine, "t/s", 2, settings=own)
    await second.until("qr")
    await act(first, text(1))
    assert engine.whatsapp.scan("t/s")
    assert second.now == "open"
    assert first.states[-1].reason == "replaced"
    again = RecordingHost(first.record)
    await again.open(engine, "t/s", 3)
    assert (await again.until("closed")).reason == "logged_out"


async def test_stanzas_may_come_twice(engine: SimulatedEngine) -> None:
    """By chance WhatsApp delivers a stanza again, with the same content under another unit."""
    host = await opened(engine, delivered_ms=1, random={"duplicate": 1.0})
    await act(host, text(1))
    await wait_until(lambda: len(host.events) == 2)
    assert host.events[0].data == host.events[1].data
    assert host.events[0].unit != host.events[1].unit


async def test_unlinked_and_banned_devices_stay_out(engine: SimulatedEngine) -> None:
    """Their credentials are refused for what happened, until they pair anew."""
    for session, banned, reason in (("t/a", False, "logged_out"), ("t/b", True, "banned")):
        host = await opened(engine, session)
        engine.whatsapp.unlink(session, banned=banned)
        assert host.states[-1].reason == reason
        again = RecordingHost(host.record)
        await again.open(engine, session, 2)
        assert (await again.until("closed")).reason == reason


@given(
    st.lists(
        st.sampled_from(["receive", "send", "commit one", "commit", "cut", "duplicate"]),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_nothing_inbound_is_lost_and_units_stay_in_order(steps: list[str]) -> None:
    """Whatever happens in whatever order, every inbound message ends committed, in its order."""
    asyncio.run(_run(steps))


async def _run(steps: list[str]) -> None:
    engine = SimulatedEngine(defaults={**QUICK, "pair_after_ms": 0, "credit": 3, "key_writes": True})
    await engine.start()
    host = await opened(engine)
    host.hold = True
    written: list[str] = []
    kept: list[str] = []
    sent: list[asyncio.Task[Any]] = []
    for number, step in enumerate(steps):
        if step in ("receive", "duplicate"):
            engine.whatsapp.receive("t/s", FRIEND, str(number), message_id=f"M{number}")
            written.append(f"M{number}")
        elif step == "send" and host.link is not None:
            sent.append(asyncio.create_task(host.link.act(text(number))))
        elif step == "commit one":
            _commit(host, kept, host._held[0].unit if host._held else 0)
        elif step == "commit":
            _commit(host, kept, None)
        elif step == "cut":
            engine.whatsapp.cut("t/s")
            host = await _reopen(engine, host)
        await asyncio.sleep(0)
        assert [u.unit for u in host.units[-3:]] == sorted(u.unit for u in host.units[-3:])
    host = await _reopen(engine, host)
    for _ in range(len(written) + 2):
        _commit(host, kept, None)
        await asyncio.sleep(0)
    assert list(dict.fromkeys(kept)) == written
    await asyncio.gather(*sent, return_exceptions=True)
    await engine.stop()


def _commit(host: RecordingHost, kept: list[str], up_to: int | None) -> None:
    kept += [u.data["id"] for u in host._held if u in host.events and (up_to is None or u.unit <= up_to)]
    host.commit(up_to)


async def _reopen(engine: SimulatedEngine, host: RecordingHost) -> RecordingHost:
    engine.whatsapp.cut("t/s")
    again = RecordingHost(host.record, hold=True)
    await again.open(engine, "t/s", 2)
    await again.until("open")
    return again


WORKER = """
import asyncio, sys
from pathlib import Path
from pywhatsweb_fleet.session_worker.engines.port import *
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
class Host:
    now = ""
    def state(self, change): self.now = change.state
    def event(self, unit): pass
    def keys(self, unit): Path(sys.argv[2]).write_bytes(unit.creds)
    async def load_keys(self, kind, ids): return {}
async def main():
    engine = SimulatedEngine(state_file=Path(sys.argv[1]), defaults={"pair_after_ms": 1, "restart_after_pairing": False,
        "delivered_ms": 1, "read_ms": 60000})
    await engine.start()
    host = Host()
    link = await engine.open(OpenSpec("t/s", 5, None, Pairing(), {}), host)
    while host.now != "open": await asyncio.sleep(0.001)
    engine.whatsapp.receive("t/s", "+5511988887777", "kept for later", message_id="IN1")
    link.committed(1)
    for n in range(10**9):
        act = Action("send", f"3EB0{n:018X}", Recipient(pn="+5511988887777"), {"type": "text", "text": {"body": "x"}})
        if n == 50: link.committed(2); link.committed(3)
        done = asyncio.ensure_future(link.act(act))
        await asyncio.sleep(0.001)
        if done.done(): print(act.id, flush=True)
asyncio.run(main())
"""


async def test_what_was_accepted_survives_a_killed_worker(tmp_path: Path) -> None:
    """After kill -9 the file has every acknowledged id, its epoch, and what was not acknowledged inbound."""
    state, creds = tmp_path / "whatsapp.jsonl", tmp_path / "creds"
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(state), str(creds), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "shared:services"},
    )  # fmt: skip
    assert worker.stdout is not None
    assert await asyncio.wait_for(worker.stdout.readline(), 10)
    await asyncio.sleep(0.2)
    worker.send_signal(signal.SIGKILL)
    acknowledged = {line.decode().strip() for line in (await worker.stdout.read()).splitlines()}
    await worker.wait()
    with state.open("ab") as file:
        file.write(b'{"what":"accepted","id":"torn')
    whatsapp = SimulatedWhatsApp(state_file=state)
    assert acknowledged <= {a.id for a in whatsapp.accepted}
    assert {a.epoch for a in whatsapp.accepted} <= {5}
    engine = SimulatedEngine(whatsapp=whatsapp, defaults={**QUICK, "delivered_ms": 1, "read_ms": 2})
    await engine.start()
    record = Record()
    record.creds = creds.read_bytes()
    host = await opened(engine, record=record, incarnation=6)
    await wait_until(lambda: host.events)
    inbound = host.kinds("message")
    assert [(e.data["id"], e.data["offline"]) for e in inbound] in ([("IN1", True)], [])
    await act(host, text(10**6))
    await wait_until(lambda: any(e.data.get("message_ids") == [text(10**6).id] for e in host.events), 5)
    whatsapp.close()
    assert SimulatedWhatsApp(state_file=state).accepted[-1].id == text(10**6).id


async def test_two_workers_share_one_file(tmp_path: Path) -> None:
    """A session that moves finds at the next worker what waited for it, and nothing that was acknowledged."""
    state = tmp_path / "whatsapp.jsonl"
    one, two = (SimulatedEngine(state_file=state, defaults=QUICK) for _ in range(2))
    await one.start()
    await two.start()
    host = await opened(one)
    one.whatsapp.receive("t/s", FRIEND, "first", message_id="A")
    host.hold = True
    one.whatsapp.receive("t/s", FRIEND, "second", message_id="B")
    assert host.link is not None
    await host.link.close("handover")
    moved = await opened(two, record=host.record, incarnation=2)
    await wait_until(lambda: moved.kinds("message"))
    assert [e.data["id"] for e in moved.kinds("message")] == ["B"]
    await one.stop()
    await two.stop()


async def test_the_agenda_keeps_times_and_survives_errors() -> None:
    """Calls come by time, then by order; one that fails does not end the others, and an idle agenda has no timer."""
    agenda = Agenda()
    calls: list[int] = []
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    for n, ms in enumerate((30, 10, 10, 0, 20)):
        agenda.after(ms, calls.append, n)
    agenda.after(10, lambda: 1 / 0)
    await wait_until(lambda: len(calls) == 5)
    assert calls == [3, 1, 2, 4, 0]
    assert len(errors) == 1
    assert agenda._handle is None
