"""Groups of the simulated WhatsApp, so that a program's group verbs can be tried without Node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pywhatsweb.contracts import live
from pywhatsweb_fleet.session_worker.engines.port import Action, EngineError, Recipient
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from tests.contract.engines.host import RecordingHost
from tests.support import wait_until
from tests.unit.engines.test_simulated import FRIEND, QUICK, act, opened

OTHER = "+5511988886666"


class Member:
    """A session that is open, and what it asks."""

    def __init__(self, host: RecordingHost, number: str) -> None:
        self.host = host
        self.number = number

    async def ask(self, verb: str, group: str | None = None, **content: Any) -> Any:
        to = Recipient(group=group) if group is not None else None
        return (await act(self.host, Action(f"group.{verb}", "ask", to, content))).data

    async def refused(self, verb: str, group: str | None = None, **content: Any) -> str:
        with pytest.raises(EngineError) as error:
            await self.ask(verb, group, **content)
        return error.value.code

    async def heard(self, change: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [dict(e.data) for e in self.host.kinds("group") if e.data["change"] == change]

        told: list[dict[str, Any]] = await wait_until(found)
        return told[-1]


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[SimulatedEngine]:
    made = SimulatedEngine(defaults=QUICK)
    await made.start()
    yield made
    await made.stop()


async def member(engine: SimulatedEngine, session: str, **own: Any) -> Member:
    host = await opened(engine, session, **own)
    return Member(host, engine.whatsapp.account(session).me().pn or "")


def roles(group: dict[str, Any]) -> dict[str, str]:
    return {one["pn"]: one["role"] for one in group["participants"]}


async def test_the_engine_declares_every_group_verb_but_the_picture() -> None:
    """What it cannot is refused before it is asked."""
    verbs = {verb for verb in live.VERBS if verb.startswith("group.")}
    assert verbs - set(SimulatedEngine.capabilities) == {"group.picture"}


async def test_a_group_is_made_changed_and_left(engine: SimulatedEngine) -> None:
    """Members' sessions hear of it; who is absent does not get in; nobody else sees the group."""
    ana = await member(engine, "t/ana", absent=[OTHER])
    bia = await member(engine, "t/bia")
    made = await ana.ask("create", subject="Team", participants=[{"pn": bia.number}, {"pn": OTHER}])
    group = made["group"]
    assert roles(made) == {ana.number: "owner", bia.number: "member"}
    assert (await bia.heard("create"))["subject"] == "Team"
    await ana.ask("update", group, subject="Crew", description="Who sails", announce=True)
    assert (await bia.heard("settings"))["settings"] == {"announce": True}
    now = await bia.ask("get", group)
    assert (now["subject"], now["description"], now["announce"]) == ("Crew", "Who sails", True)
    assert await bia.refused("update", group, announce=False) == "E_NOT_GROUP_ADMIN"
    found = await bia.ask("list", limit=10, after="")
    assert [one["group"] for one in found["groups"]] == [group]
    assert (found["groups"][0]["participants"], found["more"]) == ([], False)
    await bia.ask("leave", group)
    assert (await ana.heard("leave"))["participants"][0]["pn"] == bia.number
    assert await bia.refused("get", group) == "E_GROUP_NOT_FOUND"
    assert (await bia.ask("list", limit=10, after=""))["groups"] == []


async def test_people_are_added_ranked_and_removed(engine: SimulatedEngine) -> None:
    """An outcome each, with WhatsApp's numbers."""
    ana = await member(engine, "t/ana", absent=[OTHER])
    group = (await ana.ask("create", subject="Team", participants=[]))["group"]
    people = [{"pn": FRIEND}, {"pn": OTHER}]
    assert [one["reason"] for one in await ana.ask("add", group, participants=people)] == [None, "404"]
    assert [one["reason"] for one in await ana.ask("add", group, participants=people[:1])] == ["409"]
    await ana.ask("promote", group, participants=people[:1])
    assert roles(await ana.ask("get", group))[FRIEND] == "admin"
    await ana.ask("demote", group, participants=people[:1])
    assert roles(await ana.ask("get", group))[FRIEND] == "member"
    await ana.ask("remove", group, participants=people[:1])
    assert roles(await ana.ask("get", group)) == {ana.number: "owner"}
    assert [one["ok"] for one in await ana.ask("remove", group, participants=people[:1])] == [False]


async def test_a_link_lets_people_in_or_has_them_wait(engine: SimulatedEngine) -> None:
    """A link that was revoked is void; where an admin lets in, who asks waits."""
    ana, bia = await member(engine, "t/ana"), await member(engine, "t/bia")
    group = (await ana.ask("create", subject="Team", participants=[]))["group"]
    old = (await ana.ask("invite", group))["code"]
    code = (await ana.ask("revoke", group))["code"]
    assert await bia.refused("join", code=old) == "E_GROUP_NOT_FOUND"
    assert (await bia.ask("inspect", code=code))["subject"] == "Team"
    assert await bia.ask("join", code=code) == {"group": group, "pending": False}
    await bia.ask("leave", group)
    await ana.ask("update", group, approval=True)
    assert await bia.ask("join", code=code) == {"group": group, "pending": True}
    assert (await ana.heard("join_request"))["state"] == "created"
    (waiting,) = await ana.ask("requests", group)
    assert (waiting["pn"], waiting["method"]) == (bia.number, "invite_link")
    assert [one["ok"] for one in await ana.ask("reject", group, participants=[waiting])] == [True]
    await bia.ask("join", code=code)
    await ana.ask("approve", group, participants=[{"pn": bia.number}])
    assert roles(await bia.ask("get", group))[bia.number] == "member"
    assert await ana.ask("requests", group) == []
