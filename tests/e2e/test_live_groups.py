"""Groups through the control plane, on real Baileys: made, read, changed, joined; what others do comes as events."""

from __future__ import annotations

from typing import Any

from pywhatsweb.client import FleetClient
from tests.e2e.kinds.files import picture
from tests.e2e.test_live import refused, working
from tests.support import wait_until
from tests.support.running import Plain, Sandbox

ANA, BIA, CAIO = "+5511966660001", "+5511966660002", "+5511966660003"
LONER = "+5511966660009"


def roles(group: Any) -> dict[str | None, str]:
    return {member.pn: member.role for member in group.participants}


def changes(program: Plain, group: str, change: str) -> list[dict[str, Any]]:
    told = [event["data"] for event in program.of("group", "live")]
    return [data for data in told if (data["group"], data["change"]) == (group, change)]


async def test_a_group_from_its_making_to_its_end(
    program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """Members, roles, settings and the list; WhatsApp's reason for each whom it does not add."""
    me = await working(program, whatsapp)
    await whatsapp.post("/api/contacts", number=LONER, behaviour={"addable": False})
    made = await client.groups.create("live", "Obra", [ANA, BIA, LONER])
    assert roles(made) == {me: "owner", ANA: "member", BIA: "member"}, "who lets nobody add them is missing"
    group = made.group
    added = await client.groups.add("live", group, [CAIO, LONER, ANA])
    assert {one.pn: (one.ok, one.reason) for one in added} == {
        CAIO: (True, None), LONER: (False, "403"), ANA: (False, "409"),
    }  # fmt: skip
    assert [one.ok for one in await client.groups.promote("live", group, [ANA, BIA])] == [True, True]
    await client.groups.demote("live", group, [BIA])
    await client.groups.remove("live", group, [CAIO])
    changed = await client.groups.update(
        "live", group, subject="Obra 2", description="Só avisos", announce=True, locked=True, approval=True,
        member_add="all", disappearing_s=86_400,
    )  # fmt: skip
    assert roles(changed) == {me: "owner", ANA: "admin", BIA: "member"}
    assert (changed.subject, changed.description) == ("Obra 2", "Só avisos")
    assert (changed.announce, changed.locked, changed.approval) == (True, True, True)
    assert (changed.member_add, changed.disappearing_s) == ("all", 86_400)
    assert (await client.groups.update("live", group, description="")).description is None
    await client.groups.set_picture("live", group, picture("PNG"))
    await wait_until(lambda: changes(program, group, "picture"), 60)
    other = (await client.groups.create("live", "Outra")).group
    ids = []
    cursor = None
    while True:
        page = await client.groups.list("live", limit=1, cursor=cursor)
        ids += [one.group for one in page.groups]
        assert all(one.size and not one.participants for one in page.groups)
        if (cursor := page.cursor) is None:
            break
    assert {group, other} <= set(ids)
    assert ids == sorted(set(ids))
    await client.groups.leave("live", other)
    assert await refused(client.groups.get("live", other)) == "E_GROUP_NOT_FOUND"
    assert await refused(client.groups.get("live", "120363000000000000")) == "E_GROUP_NOT_FOUND"
    assert await refused(client.groups.get("live", "no group")) == "E_GROUP_NOT_FOUND"


async def test_invitations_and_who_waits_to_be_let_in(
    program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """A link, revoked and new; joining by it; requests approved and rejected."""
    number = await working(program, whatsapp)
    mine = (await client.groups.create("live", "Portão", [ANA])).group
    await client.groups.update("live", mine, approval=True)
    old = await client.groups.invite("live", mine)
    link = await client.groups.revoke("live", mine)
    assert link.code != old.code
    assert link.link == f"https://chat.whatsapp.com/{link.code}"
    for who in (BIA, CAIO):
        await whatsapp.post("/api/groups/act", by=who, group=mine, act="invite", code=link.code)
    await wait_until(lambda: len(changes(program, mine, "join_request")) >= 2, 20)
    assert {one.pn for one in await client.groups.requests("live", mine)} == {BIA, CAIO}
    assert [one.ok for one in await client.groups.approve("live", mine, [BIA])] == [True]
    assert [one.reason for one in await client.groups.reject("live", mine, [CAIO, ANA])] == [None, "404"]
    assert set(roles(await client.groups.get("live", mine))) == {number, ANA, BIA}
    theirs = await whatsapp.post("/api/groups", owner=ANA, subject="Delas", participants=[ANA, BIA])
    seen = await client.groups.inspect("live", theirs["invite"])
    assert (seen.subject, seen.size) == ("Delas", 2)
    joined = await client.groups.join("live", f"https://chat.whatsapp.com/{theirs['invite']}")
    assert (joined.group, joined.pending) == (seen.group, False)
    assert await refused(client.groups.update("live", seen.group, announce=True)) == "E_NOT_GROUP_ADMIN"
    assert await refused(client.groups.join("live", old.code)) == "E_GROUP_NOT_FOUND"
    guarded = await whatsapp.post("/api/groups", owner=ANA, subject="Fechado", participants=[ANA])
    await whatsapp.post(
        "/api/groups/act", by=ANA, group=guarded["id"], act="membership_approval_mode", approval=True
    )
    assert (await client.groups.join("live", guarded["invite"])).pending


async def test_what_others_do_in_a_group_comes_as_events(
    program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """Each change once, with who did it and to whom; reading a group tells nothing."""
    number = await working(program, whatsapp)
    made = await whatsapp.post("/api/groups", owner=ANA, subject="Bairro", participants=[ANA, BIA, number])
    group = made["id"].partition("@")[0]

    async def does(act: str, **more: Any) -> None:
        done = await whatsapp.post("/api/groups/act", by=ANA, group=made["id"], act=act, **more)
        assert done == {"code": 200}, act

    await does("add", participants=[CAIO])
    await does("promote", participants=[BIA])
    await does("announcement")
    await does("subject", text="Bairro novo")
    await does("remove", participants=[CAIO])
    await client.groups.list("live")
    await does("remove", participants=[number])
    wanted = ("add", "promote", "settings", "subject", "remove")
    await wait_until(lambda: len(changes(program, group, "remove")) == 2, 20)
    told = {change: changes(program, group, change) for change in wanted}
    assert [len(told[change]) for change in wanted] == [1, 1, 1, 1, 2]
    assert told["add"][0]["by"]["lid"] == (await whatsapp.get(f"/api/contacts/{ANA}"))["lid"]
    assert [who["pn"] for who in told["promote"][0]["participants"]] == [BIA]
    assert told["settings"][0]["settings"] == {"announce": True}
    assert told["subject"][0]["subject"] == "Bairro novo"
    assert [data["participants"][0]["pn"] for data in told["remove"]] == [CAIO, number]
