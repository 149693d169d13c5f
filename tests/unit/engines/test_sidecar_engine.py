"""The sidecar client against a scripted child: handshake, crashes, incarnations, bounds."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import structlog.testing

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, OpenSpec, Pairing, Recipient
from pywhatsweb_fleet.session_worker.engines.sidecar import SidecarEngine
from tests.contract.engines.host import Record, RecordingHost
from tests.support import wait_until
from tests.unit.engines.conftest import FAKE, MakeEngine


def say(body: str, **more: Any) -> Action:
    return Action(
        "send",
        "3EB0" + "0" * 18,
        Recipient(pn="+5511900000001"),
        {"type": "text", "text": {"body": body}},
        **more,
    )


async def opened(engine: SidecarEngine, session: str = "t/s", **settings: object) -> RecordingHost:
    record = Record()
    record.creds = b"creds"
    host = RecordingHost(record)
    await host.open(engine, session, 7, settings=settings)
    await host.until("open")
    return host


async def act(host: RecordingHost, body: str, **more: Any) -> Any:
    assert host.link is not None
    return await asyncio.wait_for(host.link.act(say(body, **more)), 10)


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("protocol", "E_SIDECAR_PROTOCOL", "speaks protocol 99, this worker 1"),
        ("fatal", "E_ENGINE_UNAVAILABLE", "baileys is not installed"),
        ("garbage", "E_ENGINE_UNAVAILABLE", "ended before its hello"),
        ("silent", "E_ENGINE_UNAVAILABLE", "did not answer hello in 0.5 s"),
        ("no-engine", "E_ENGINE_UNAVAILABLE", "no engine baileys, only: other"),
    ],
)
async def test_a_sidecar_that_cannot_serve_is_refused_in_words(
    make_engine: MakeEngine, mode: str, code: str, words: str
) -> None:
    """Each way of failing the handshake has its sentence, and leaves no process behind."""
    engine = make_engine(mode, hello_timeout_s=0.5 if mode == "silent" else 10)
    with pytest.raises(EngineError) as refused:
        await engine.start()
    assert refused.value.code == code
    assert words in refused.value.detail
    assert engine.pid is None


async def test_a_program_that_is_not_there_is_refused() -> None:
    """The launcher cannot become what does not exist."""
    from pywhatsweb_fleet.session_worker.engines.sidecar import Config, Launch

    engine = SidecarEngine("baileys", launch=Launch(command=("/nowhere/node",)), config=Config(), worker="w")
    with pytest.raises(EngineError) as refused:
        await engine.start()
    assert refused.value.code == "E_ENGINE_UNAVAILABLE"


async def test_a_session_lives_through_its_states(make_engine: MakeEngine) -> None:
    """Connecting and a QR; act, units of keys, close; unknown fields, frames and bad ones disturb nothing."""
    engine = make_engine()
    await engine.start()
    new = RecordingHost()
    await new.open(engine, "t/new")
    shown = await new.until("qr")
    assert (shown.code, shown.attempt) == ("2@abc", 1)
    host = await opened(engine)
    assert host.states[-1].me is not None
    assert (await act(host, "hello")).at == 1_700_000_000_000
    assert (await act(host, "unknown")).message_id
    await act(host, "set")
    assert (host.record.creds, host.record.rows) == (b"c" * 10, {("session", "a"): b"1"})
    told = (await act(host, "tell", typing_ms=5)).data
    assert told["committed"] == [1]
    assert "typing_ms" in told["frame"]
    assert "context" not in told["frame"]
    assert host.link is not None
    await host.link.close("stop")
    assert host.states[-1].reason == "stopped"


async def test_keys_are_read_for_the_sidecar(make_engine: MakeEngine) -> None:
    """Rows that exist come back, absent ones are left out, a failing store answers with its code."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    host.record.rows["session", "a"] = b"A"
    assert (await act(host, "keys a b")).data == {"rows": [["a", b"A"]], "code": None}

    async def broken(kind: str, ids: object) -> dict[str, bytes]:
        raise EngineError("E_STORAGE_UNAVAILABLE")

    host.load_keys = broken  # type: ignore[method-assign]
    assert (await act(host, "keys a")).data == {"rows": None, "code": "E_STORAGE_UNAVAILABLE"}


@pytest.mark.parametrize(
    ("code", "expected", "uncertain"),
    [
        ("E_WHATSAPP_STALE_SESSION", "E_WHATSAPP_STALE_SESSION", False),
        ("E_ACK_TIMEOUT", "E_ACK_TIMEOUT", True),
        ("E_SESSION_NOT_READY", "E_CONNECTION_LOST", False),
        ("E_MADE_UP", "E_ENGINE_ERROR", False),
    ],
)
async def test_failures_carry_a_code_of_the_catalogue(
    make_engine: MakeEngine, code: str, expected: str, uncertain: bool
) -> None:
    """What the sidecar names otherwise is told under a code that users know."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    with pytest.raises(EngineError) as failed:
        await act(host, "fail " + code)
    assert (failed.value.code, failed.value.uncertain) == (expected, uncertain)


async def test_frames_of_another_incarnation_are_dropped(make_engine: MakeEngine) -> None:
    """An event of an earlier ownership reaches nobody."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    await act(host, "stale")
    assert host.events == []


@pytest.mark.parametrize("how", ["crash", "garbage"])
async def test_a_crash_closes_its_sessions_and_is_followed_by_a_new_run(
    make_engine: MakeEngine, how: str
) -> None:
    """Acts become uncertain, sessions close with engine_error and retry, and open again on the next run."""
    engine = make_engine()
    await engine.start()
    engine.lease(60_000)
    first = engine.pid
    hosts = [await opened(engine, f"t/s{n}") for n in range(3)]
    assert hosts[0].link is not None
    waiting = asyncio.create_task(act(hosts[1], "hang"))
    await asyncio.sleep(0)
    with pytest.raises(EngineError) as lost:
        await act(hosts[0], how)
    assert (lost.value.code, lost.value.uncertain) == ("E_CONNECTION_LOST", True)
    with pytest.raises(EngineError, match="E_CONNECTION_LOST"):
        await waiting
    for host in hosts:
        closed = await host.until("closed")
        assert (closed.reason, closed.retry) == ("engine_error", True)
    down = RecordingHost()
    if engine.pid is None:
        await down.open(engine, "t/down")
        assert (await down.until("closed")).reason == "engine_error"
    await wait_until(lambda: engine.pid not in (None, first), 5)
    again = await opened(engine, "t/s0")
    leases = (await act(again, "tell")).data["leases"]
    assert leases
    assert 50_000 < leases[0] <= 60_000


async def test_a_sidecar_that_keeps_failing_is_tried_again(make_engine: MakeEngine, tmp_path: Path) -> None:
    """Runs that end before hello are repeated with growing pauses until one is good."""
    engine = make_engine("once")
    await engine.start()
    host = await opened(engine)
    with pytest.raises(EngineError):
        await act(host, "crash")
    await asyncio.sleep(1.0)
    assert engine.pid is None
    (tmp_path / "note").unlink()
    await wait_until(lambda: engine.pid is not None, 5)
    await opened(engine)


async def test_stop_is_bounded_and_leaves_nothing(make_engine: MakeEngine, tmp_path: Path) -> None:
    """A sidecar that ignores shutdown is killed within five seconds; sessions hear stopped."""
    engine = make_engine("stubborn")
    await engine.start()
    host = await opened(engine)
    pid = engine.pid
    assert pid is not None
    began = time.monotonic()
    await engine.stop()
    assert time.monotonic() - began < 5
    assert host.closed is not None
    assert host.closed.reason == "stopped"
    assert not _runs(pid)


async def test_what_a_sidecar_started_ends_with_it(make_engine: MakeEngine, tmp_path: Path) -> None:
    """A browser of a crashed sidecar is of its process group, and is killed."""
    engine = make_engine("grandchild")
    await engine.start()
    grandchild = int((tmp_path / "note").read_text())
    os.kill(engine.pid or 0, 9)
    await wait_until(lambda: not _runs(grandchild), 5)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_session_that_does_not_close_costs_the_run(make_engine: MakeEngine) -> None:
    """Unanswered, close reports the end, and the process that may still hold the link is killed."""
    engine = make_engine(close_timeout_s=0.2)
    await engine.start()
    first = engine.pid
    host = await opened(engine, "t/stuck")
    assert host.link is not None
    await host.link.close("stop")
    assert host.closed is not None
    await wait_until(lambda: engine.pid not in (None, first), 5)


async def test_a_frozen_sidecar_is_killed(make_engine: MakeEngine) -> None:
    """One that says nothing for too long is ended and run again; likewise one that outlives the lease."""
    engine = make_engine(silence_s=0.6)
    await engine.start()
    host = await opened(engine)
    assert host.link is not None
    frozen = asyncio.create_task(host.link.act(say("freeze 30")))
    assert (await host.until("closed", timeout=5)).reason == "engine_error"
    with pytest.raises(EngineError):
        await frozen


async def test_a_sidecar_that_outlives_the_lease_is_killed(make_engine: MakeEngine) -> None:
    """The lease holds though the sidecar's loop does not turn."""
    engine = make_engine()
    await engine.start()
    first = engine.pid
    host = await opened(engine)
    assert host.link is not None
    frozen = asyncio.create_task(host.link.act(say("freeze 30")))
    engine.lease(100)
    assert (await host.until("closed", timeout=5)).reason == "lease_lapsed"
    with pytest.raises(EngineError):
        await frozen
    await wait_until(lambda: engine.pid != first, 5)


async def test_uncommitted_units_stop_the_reading(make_engine: MakeEngine) -> None:
    """Past the bound nothing more is read; committing half of it goes on, and nothing is lost."""
    engine = make_engine()
    await engine.start()
    record = Record()
    record.creds = b"c"
    host = RecordingHost(record, hold=True)
    await host.open(engine, "t/s", 7, settings={"events": 20_000})
    await wait_until(lambda: len(host.events) > 1024, 5)
    await asyncio.sleep(0.3)
    seen = len(host.events)
    # What one read of the socket had brought already is handed on.
    assert seen < 6000
    host.hold = False
    host.commit()
    await wait_until(lambda: len(host.events) == 20_000, 10)
    assert [u.unit for u in host.units] == list(range(1, 20_001))


async def test_a_session_can_be_closed_while_the_reading_is_stopped(make_engine: MakeEngine) -> None:
    """Units that nobody commits any more do not keep its end, nor the engine's, from being heard."""
    engine = make_engine()
    await engine.start()
    record = Record()
    record.creds = b"c"
    hosts = [RecordingHost(record, hold=True) for _ in range(2)]
    for n, host in enumerate(hosts):
        await host.open(engine, f"t/s{n}", 7, settings={"events": 10 if n else 20_000})
    await wait_until(lambda: len(hosts[0].events) > 1024, 5)
    assert hosts[0].link is not None
    await asyncio.wait_for(hosts[0].link.close("handover"), 5)
    assert hosts[0].states[-1].reason == "stopped"
    await asyncio.wait_for(engine.stop(), 5)
    assert hosts[1].closed is not None


async def test_a_sidecar_that_does_not_read_makes_senders_wait(make_engine: MakeEngine) -> None:
    """Acts beyond the high-water mark wait in line instead of filling memory; order is kept when it reads again."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    link = host.link
    assert link is not None
    asyncio.get_running_loop().call_later(1.0, lambda: None)
    frozen = asyncio.create_task(link.act(say("freeze 1")))
    big = "x" * 100_000
    acts = [asyncio.create_task(link.act(say(f"{n} {big}"))) for n in range(200)]
    await asyncio.sleep(0.5)
    channel = link._channel  # type: ignore[attr-defined]
    assert channel.congested
    assert len(link._acts) < 60  # type: ignore[attr-defined]
    await asyncio.wait_for(asyncio.gather(*acts), 20)
    frozen.cancel()


async def test_what_cannot_be_sent_is_refused_alone(make_engine: MakeEngine) -> None:
    """Hostile content never reaches the sidecar, where it would end every session's process."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    assert host.link is not None
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    contents: list[dict[Any, Any]] = [
        {"__proto__": 1},
        {"text": {"__proto__": {}}},
        {"list": [{"__proto__": {}}]},
        {1: 2},
        {"x": object()},
        {"x": "\ud800"},
        {"x": 2**70},
        deep,
    ]
    for content in contents:
        with pytest.raises(EngineError) as refused:
            await host.link.act(Action("send", "1", None, content))
        assert refused.value.code == "E_INVALID_FIELD"
    with pytest.raises(EngineError) as refused:
        await host.link.act(Action("send", "1", None, {"data": b"x" * (17 << 20)}))
    assert refused.value.code == "E_BODY_TOO_LARGE"
    frozen = MappingProxyType({"type": "text", "text": MappingProxyType({"body": "__proto__"})})
    assert (await asyncio.wait_for(host.link.act(Action("send", "1", None, frozen)), 5)).message_id == "1"


async def test_opening_twice_is_refused(make_engine: MakeEngine) -> None:
    """One open a session and incarnation."""
    engine = make_engine()
    await engine.start()
    await opened(engine)
    with pytest.raises(EngineError) as refused:
        await engine.open(OpenSpec("t/s", 7, None, Pairing(), {}), RecordingHost())
    assert refused.value.code == "E_SESSION_ALREADY_EXISTS"


async def test_close_reasons_arrive_whole_and_masked(make_engine: MakeEngine) -> None:
    """Reason, WhatsApp's code and detail arrive; a number in the detail does not."""
    engine = make_engine()
    await engine.start()
    host = await opened(engine)
    with pytest.raises(EngineError):
        await act(host, "close replaced")
    closed = host.states[-1]
    assert (closed.reason, closed.whatsapp_code, closed.retry, closed.detail) == (
        "replaced",
        440,
        False,
        "by #",
    )


async def test_what_a_sidecar_prints_is_logged_without_secrets(make_engine: MakeEngine) -> None:
    """Numbers and key material are masked in plain and JSON lines; an endless line is cut."""
    with structlog.testing.capture_logs() as logs:
        engine = make_engine("talks")
        await engine.start()
        await wait_until(lambda: sum("stream" in entry for entry in logs) >= 3, 5)
        await engine.stop()
    text = repr(logs)
    assert "5511999990000" not in text
    assert "kN3rC0q9" not in text
    assert any(entry["event"] == "sidecar_odd" and entry["sidecar_to"] == "#" for entry in logs)
    assert max(len(repr(entry)) for entry in logs) < 3000


async def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Killed without a word, a worker leaves no sidecar: the socket's end is enough."""
    import sys

    note = tmp_path / "pid"
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from pywhatsweb_fleet.session_worker.engines.sidecar import Config, Launch, SidecarEngine\n"
        "async def main():\n"
        "    launch = Launch(command=(sys.executable, sys.argv[1], 'good'))\n"
        "    engine = SidecarEngine('baileys', launch=launch, config=Config(), worker='w')\n"
        "    await engine.start()\n"
        "    Path(sys.argv[2]).write_text(str(engine.pid))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program, str(FAKE), str(note)),
        env={**os.environ, "PYTHONPATH": "shared:services"},
        stdout=asyncio.subprocess.DEVNULL,
    )
    await wait_until(lambda: note.exists() and note.read_text(), 10)
    sidecar = int(note.read_text())
    worker.kill()
    await worker.wait()
    await wait_until(lambda: not _runs(sidecar), 5)
