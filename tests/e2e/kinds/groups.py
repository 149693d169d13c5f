"""Cases of groups: what the account does in them, and what others do."""

from __future__ import annotations

from typing import Any

from tests.e2e.kinds.cases import case
from tests.e2e.kinds.files import picture
from tests.e2e.kinds.stage import Stage, b64
from tests.support import wait_until

ANA, BIA, CAIO = "+5511933330041", "+5511933330042", "+5511933330043"
LONER = "+5511933330049"
GROUPS = "Groups made, changed, joined, left"


@case(GROUPS, "out")
async def groups_out(stage: Stage) -> None:
    await stage.whatsapp.post("/api/contacts", number=LONER, behaviour={"addable": False})
    made = await _ask(stage, "create", subject="Obra", participants=[ANA, BIA, LONER])
    group = made["group"]
    assert _roles(made) == {stage.number: "owner", ANA: "member", BIA: "member"}
    added = await _ask(stage, "add", group=group, participants=[CAIO, LONER, ANA])
    assert {one["pn"]: one["reason"] for one in added["participants"]} == {
        CAIO: None, LONER: "403", ANA: "409",
    }  # fmt: skip
    await _ask(stage, "promote", group=group, participants=[ANA, BIA])
    await _ask(stage, "demote", group=group, participants=[BIA])
    await _ask(stage, "remove", group=group, participants=[CAIO])
    settings = {"subject": "Obra 2", "description": "Só avisos", "announce": True, "locked": True}
    changed = await _ask(stage, "update", group=group, **settings, member_add="all")
    assert _roles(changed) == {stage.number: "owner", ANA: "admin", BIA: "member"}
    assert {name: changed[name] for name in settings} == settings
    assert changed["member_add"] == "all"
    await _ask(stage, "picture", group=group, data=b64(picture("JPEG")))
    own = await _lid(stage, stage.number)
    for change in ("create", "add", "promote", "demote", "remove", "subject", "description", "picture"):
        told = await _told(stage, group, change)
        # Baileys does not tell whose picture it is.
        by = own if change == "picture" and told[0]["by"] is None else told[0]["by"]["lid"]
        assert (len(told), by) == (1, own), f"one's own {change} is told, too, and once"
    link = await _ask(stage, "invite", group=group)
    assert (await _ask(stage, "revoke", group=group))["code"] != link["code"]
    assert group in {one["group"] for one in (await _ask(stage, "list"))["groups"]}
    await _ask(stage, "leave", group=group)
    assert await _refused(stage, "get", group=group) == "E_GROUP_NOT_FOUND"
    assert await _refused(stage, "join", code=link["code"]) == "E_GROUP_NOT_FOUND"


@case(GROUPS, "in")
async def groups_in(stage: Stage) -> None:
    made = await stage.whatsapp.post("/api/groups", owner=ANA, subject="Bairro", participants=[ANA, BIA])
    seen = await _ask(stage, "inspect", code=made["invite"])
    joined = await _ask(stage, "join", code=made["invite"])
    group = seen["group"]
    assert (seen["subject"], seen["size"], joined["group"], joined["pending"]) == ("Bairro", 2, group, False)
    assert await _refused(stage, "update", group=group, announce=True) == "E_NOT_GROUP_ADMIN"

    async def does(act: str, by: str = ANA, **more: Any) -> None:
        done = await stage.whatsapp.post("/api/groups/act", by=by, group=made["id"], act=act, **more)
        assert done == {"code": 200}, act

    await does("promote", participants=[stage.number])
    await does("membership_approval_mode", approval=True)
    await does("invite", by=CAIO, code=made["invite"])
    (request,) = await _told(stage, group, "join_request")
    assert (request["state"], request["participants"][0]["pn"]) == ("created", CAIO)
    assert [one["pn"] for one in (await _ask(stage, "requests", group=group))["requests"]] == [CAIO]
    approved = await _ask(stage, "approve", group=group, participants=[CAIO])
    assert [one["ok"] for one in approved["participants"]] == [True]
    await does("announcement")
    await stage.heard("group", group=group, change="settings", settings={"announce": True})
    await does("subject", text="Bairro novo")
    assert (await _told(stage, group, "subject"))[0]["subject"] == "Bairro novo"
    await does("remove", participants=[stage.number])
    (removed,) = await _told(stage, group, "remove")
    assert [one["pn"] for one in removed["participants"]] == [stage.number]
    assert removed["by"]["lid"] == await _lid(stage, ANA)
    assert await _refused(stage, "get", group=group) == "E_GROUP_NOT_FOUND"


async def _ask(stage: Stage, verb: str, **body: Any) -> dict[str, Any]:
    answer: Any = await stage.program.ok(f"group.{verb}", session_id=stage.session, **body)
    return dict(answer)


async def _refused(stage: Stage, verb: str, **body: Any) -> str:
    told = await stage.program.ask(f"group.{verb}", session_id=stage.session, **body)
    code: str = told["error"]["code"]
    return code


async def _told(stage: Stage, group: str, change: str) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        told = [e["data"] for e in stage.program.of("group", stage.session)]
        return [data for data in told if (data["group"], data["change"]) == (group, change)]

    told: list[dict[str, Any]] = await wait_until(found, 90, message=f"{change} of {group}")
    return told


async def _lid(stage: Stage, number: str) -> str:
    lid: str = (await stage.whatsapp.get(f"/api/contacts/{number}"))["lid"]
    return lid


def _roles(group: dict[str, Any]) -> dict[str, str]:
    return {member["pn"]: member["role"] for member in group["participants"]}
