"""Every service is restarted in turn while commands flow: none fails, none is sent twice, none changes its place."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from pathlib import Path

import nats.errors
import pytest

from tests.support import wait_until
from tests.support.running import Fleet, Plain, Sandbox, gather_all, new_number, pair, plain, sandbox

pytestmark = pytest.mark.timeout(600)

SESSIONS = ("s1", "s2")
CONTACT = "+5511988880005"
PAUSE_S = 0.2
TAKEN = {"sent", "delivered", "read"}
STEPS = (("kanban", "webhooks", "gateway"), ("persistence",), ("dispatcher",), ("nats-server",))
"""Services that are restarted together. The two workers follow, one after the other."""


async def flow(program: Plain, session: str, sent: list[str], stop: asyncio.Event) -> None:
    """A publisher as the README tells: without an answer it publishes again under the same id."""
    for number in itertools.count():
        if stop.is_set():
            return
        name = f"{session}-{number}"
        while True:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                answer = await program.send(session, name, CONTACT, name)
                assert "error" not in answer, answer
                break
            await asyncio.sleep(PAUSE_S)
        sent.append(name)
        await asyncio.sleep(PAUSE_S)


async def progress(sent: dict[str, list[str]], program: Plain) -> None:
    """Commands published from now on reach WhatsApp, in every session."""
    marks = {session: len(names) for session, names in sent.items()}
    await wait_until(lambda: all(len(names) > marks[s] for s, names in sent.items()), 120)
    await gather_all(*(taken(program, names[marks[session]]) for session, names in sent.items()))


async def taken(program: Plain, name: str) -> None:
    async def is_taken() -> bool:
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            answer = await program.ask("message.status", id=name)
            return bool(answer["ok"] and answer["data"]["status"]["status"] in TAKEN)
        return False

    await wait_until(is_taken, 120, message=f"{name} is sent")


async def restart(fleet: Fleet, pid: int, name: str) -> None:
    """As an upgrade does: SIGTERM, and another process in its place."""
    before = len(fleet.reload()["pids"][name])
    os.kill(pid, signal.SIGTERM)

    def replaced() -> bool:
        pids = fleet.reload()["pids"].get(name, [])
        return pid not in pids and len(pids) == before

    await wait_until(replaced, 120, message=f"another {name} runs")


async def test_a_rolling_restart_under_load_fails_no_command(tmp_path: Path) -> None:
    """Readers of events, persistence, dispatcher, broker and both workers, step by step."""
    fleet = Fleet(tmp_path, "--workers", "2", env={"PWW_PACING": "off"})
    fleet.start()
    try:
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            numbers = {session: new_number() for session in SESSIONS}
            for session, number in numbers.items():
                await pair(program, whatsapp, session, number)
            sent: dict[str, list[str]] = {session: [] for session in SESSIONS}
            stop = asyncio.Event()
            flows = [asyncio.create_task(flow(program, s, names, stop)) for s, names in sent.items()]
            await progress(sent, program)
            pids = fleet.reload()["pids"]
            first, second = pids["session_worker"]
            steps = [{name: pids[name][0] for name in step} for step in STEPS]
            for step in (*steps, {"session_worker": first}, {"session_worker": second}):
                await gather_all(*(restart(fleet, pid, name) for name, pid in step.items()))
                await progress(sent, program)
            stop.set()
            await asyncio.gather(*flows)
            for names in sent.values():
                for name in names:
                    # What a reader held when the broker stopped comes to it once more, after its ack wait of 30 s.
                    await taken(program, name)
            for session, names in sent.items():
                await judge(whatsapp, numbers[session], names)
            assert not program.of("deadletter")
    finally:
        fleet.stop()


async def judge(whatsapp: Sandbox, number: str, names: list[str]) -> None:
    """The contact saw each once, in order. A repeat under the same id is not seen."""
    seen = [entry["text"] for entry in await whatsapp.decrypted(number) if entry["kind"] == "message"]
    assert seen == names
