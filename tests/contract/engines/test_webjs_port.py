"""What every engine owes to the port, on a browser: one session goes through it all, since each costs seconds."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, KeysUnit, Recipient
from tests.contract.engines.host import Record, RecordingHost
from tests.contract.engines.worlds import FRIEND, World, new_number, paired, sandbox_world, text
from tests.support import wait_until

PATIENCE_S = 100.0
SESSION = "t/browser"
pytestmark = [
    pytest.mark.skipif(
        not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
        reason="no Chromium is here",
    ),
    pytest.mark.xdist_group("webjs"),
    pytest.mark.timeout(300),
]


class Host(RecordingHost):
    patience_s = PATIENCE_S


class Stage:
    """The session under its changing incarnations."""

    def __init__(self, world: World, number: str, host: RecordingHost) -> None:
        self.world = world
        self.number = number
        self.host = host
        self.incarnation = 1

    async def act(self, action: Action) -> str:
        assert self.host.link is not None
        return (await asyncio.wait_for(self.host.link.act(action), PATIENCE_S)).message_id

    async def refused(self, action: Action) -> EngineError:
        with pytest.raises(EngineError) as refused:
            await self.act(action)
        return refused.value

    async def reopen(self, record: Record) -> str:
        """Its state then."""
        self.incarnation += 1
        self.host = Host(record)
        await self.host.open(self.world.engine, SESSION, self.incarnation, settings=self.world.settings)
        await self.host.until("open", "closed", "qr")
        return self.host.now

    def bodies(self) -> list[str]:
        return [event.data["text"]["body"] for event in self.host.kinds("message")]


async def test_a_browser_keeps_the_port(tmp_path: Path) -> None:
    """Pairing, order, refusals, units, credit, repeats, lease, closing and logging out."""
    async with sandbox_world(tmp_path, "webjs") as world:
        await world.engine.start()
        world.engine.lease(3_600_000)
        try:
            number = new_number()
            stage = Stage(world, number, await paired(world, SESSION, number, Host()))
            _paired(stage)
            await _acts(stage)
            await _units(stage)
            await _not_committed(stage)
            await _lease(stage)
            await _closing(stage)
            await _logout(stage)
        finally:
            await world.engine.stop()


def _paired(stage: Stage) -> None:
    """Its credentials and its profile are durable, and it is open under its account's number."""
    record, me = stage.host.record, stage.host.states[-1].me
    assert record.creds
    assert any(kind == "profile" for kind, _ in record.rows)
    assert me is not None
    assert me.pn == stage.number


async def _acts(stage: Stage) -> None:
    """Acknowledged in the order of the calls, each under its id; what nobody knows is refused, and disturbs nothing."""
    wanted = [text(n) for n in range(20)]
    assert await asyncio.gather(*map(stage.act, wanted)) == [action.id for action in wanted]
    assert await stage.world.arrived(SESSION, stage.number) == [action.id for action in wanted]
    to = Recipient(pn=FRIEND)
    hostile: list[dict[str, Any]] = [
        {"type": "smell", "smell": {}},
        {"type": "__proto__", "__proto__": {"a": 1}},
        {"type": None},
        {"type": "\ud7ff\x00" * 1000},
        {"type": "text", "text": {"body": 7}},
        {"type": "contacts", "contacts": []},
    ]
    for n, content in enumerate(hostile):
        assert not (await stage.refused(Action("send", f"3EB0F{n}", to, content))).uncertain
    unknown = await stage.refused(Action("dance", "3EB0AB", to, {}))
    assert (unknown.code, unknown.uncertain) == ("E_UNSUPPORTED_TYPE", False)
    assert await stage.act(text(20)) == text(20).id


async def _units(stage: Stage) -> None:
    """Numbered without a gap, in the order in which contacts wrote; past the credit none comes till it is renewed."""
    host = stage.host
    host.hold = True
    for n in range(100):
        await stage.world.receive(SESSION, stage.number, f"in {n}")
    await wait_until(lambda: len(host.kinds("message")) >= 20, PATIENCE_S)
    assert len(host.kinds("message")) < 100
    host.hold = False
    host.commit()
    await wait_until(lambda: len(host.kinds("message")) == 100, PATIENCE_S)
    assert stage.bodies() == [f"in {n}" for n in range(100)]
    # Units of the two opens that a pairing takes count from 1 each.
    numbers = [unit.unit for unit in host.units]
    second = max(at for at, number in enumerate(numbers) if number == 1)
    assert numbers[second:] == list(range(1, len(numbers) - second + 1))


async def _not_committed(stage: Stage) -> None:
    """What was told and never made durable is told again by the next open."""
    host = stage.host
    await wait_until(lambda: isinstance(host.units[-1], KeysUnit), PATIENCE_S, message="up to where was told")
    host.hold = True
    await stage.world.receive(SESSION, stage.number, "lost")
    await wait_until(lambda: stage.bodies()[-1] == "lost", PATIENCE_S)
    assert host.link is not None
    await host.link.close("handover")
    assert await stage.reopen(host.record) == "open"
    await wait_until(lambda: "lost" in stage.bodies(), PATIENCE_S)
    assert stage.bodies().count("lost") == 1


async def _lease(stage: Stage) -> None:
    """Without a newer lease the link is cut; with one it opens again."""
    stage.world.engine.lease(150)
    closed = await stage.host.until("closed")
    assert (closed.reason, closed.retry) == ("lease_lapsed", True)
    assert (await stage.refused(text(21))).code == "E_CONNECTION_LOST"
    stage.world.engine.lease(3_600_000)
    assert await stage.reopen(stage.host.record) == "open"


async def _closing(stage: Stage) -> None:
    """The second call does nothing, and afterwards acts fail as lost; what is stored opens without a QR."""
    link, host = stage.host.link, stage.host
    assert link is not None
    await link.close("stop")
    await link.close("logout")
    assert [state.reason for state in host.states if state.state == "closed"] == ["stopped"]
    lost = await stage.refused(text(22))
    assert (lost.code, lost.uncertain) == ("E_CONNECTION_LOST", False)
    assert await stage.reopen(host.record) == "open"


async def _logout(stage: Stage) -> None:
    """The stored credentials open nothing any more."""
    link, record = stage.host.link, stage.host.record
    assert link is not None
    await link.close("logout")
    assert stage.host.states[-1].reason == "logged_out"
    assert await stage.reopen(record) == "closed"
    closed = stage.host.states[-1]
    assert closed.reason == "logged_out", closed
    assert (closed.reason, closed.retry) == ("logged_out", False)
