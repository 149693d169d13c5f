"""Statuses and channels as users reach them: at the command line, over HTTP, from Python."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from pywhatsweb import RequestError
from pywhatsweb.client import FleetClient
from tests.e2e.kinds.files import picture
from tests.e2e.kinds.posts import views
from tests.e2e.kinds.stage import on_stage
from tests.support import wait_until
from tests.support.running import Fleet, Plain, Sandbox

READER = "+5511933330031"
OTHER = "+5511933330032"


async def test_at_the_command_line_and_over_http(
    fleet: Fleet, program: Plain, whatsapp: Sandbox, tmp_path: Path
) -> None:
    """`pww channel` and `pww send --to status`; REST finds the channel by its link, and has a code for none."""
    stage = await on_stage(program, whatsapp, "baileys")
    session = ("--session", stage.session)

    pww = fleet.pww
    code, out = await pww("channel", "create", "Linha", *session, "--format", "json")
    assert code == 0, out
    made = json.loads(out)
    code, out = await pww("send", "oi, canal", "--to", made["channel"], *session, "--id", "cli-post")
    assert code == 0, out
    code, out = await pww("channel", "show", made["link"], *session)
    assert (code, "Linha" in out, "owner" in out) == (0, True, True)
    sent = ("--id", "cli-status", "--audience", READER, OTHER)
    assert (await pww("send", "oi, status", "--to", "status", *session, *sent))[0] == 0
    (told,) = await wait_until(
        lambda: [e["data"] for e in program.of("post") if e["data"].get("command_id") == "cli-status"], 60
    )
    assert [entry["text"] for entry in await views(stage, told["id"], READER, OTHER)] == ["oi, status"] * 2
    assert (await pww("delete", "status", told["id"], *session))[0] == 0
    await stage.heard("post", type="deleted", place="status", message_id=told["id"])
    photo = tmp_path / "promo.png"
    photo.write_bytes(picture("PNG"))
    posting = ("--to", made["channel"], *session, "--id", "cli-photo")
    code, out = await pww("send", "promo", "--file", str(photo), *posting)
    assert code == 0, out
    await stage.heard("post", type="image", place="channel", command_id="cli-photo")
    (post,) = await wait_until(
        lambda: [e["data"] for e in program.of("post") if e["data"].get("command_id") == "cli-post"], 60
    )
    assert (await pww("edit", made["channel"], post["id"], "Pão a R$ 2", *session))[0] == 0
    await stage.heard("post", message_id=post["id"], text={"body": "Pão a R$ 2"}, channel=made["channel"])
    headers = {"Authorization": f"Bearer {fleet.ready['tenants']['demo']['api_key']}"}
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=headers, timeout=40) as http:
        asked = {"session_id": stage.session, "channel": made["link"]}
        found = await http.post("/v1/channel/get", json=asked)
        assert (found.status_code, found.json()["channel"]) == (200, made["channel"])
        post = {"to": made["channel"], "type": "text", "text": {"body": "por HTTP"}}
        messages = f"/v1/sessions/{stage.session}/messages?wait=sent&timeout=60"
        posted = await http.post(messages, json=post)
        assert (posted.status_code, posted.json()["status"]) == (200, "sent")
        place = {"to": made["channel"], "type": "location", "location": {"latitude": 1, "longitude": 1}}
        refused = await http.post(messages, json=place)
        assert (refused.status_code, refused.json()["code"]) == (400, "E_UNSUPPORTED_TYPE")
        missing = await http.post(
            "/v1/channel/follow", json=asked | {"channel": "120363000000000000@newsletter"}
        )
        assert (missing.status_code, missing.json()["code"]) == (404, "E_CHANNEL_NOT_FOUND")


async def test_from_python(program: Plain, whatsapp: Sandbox, client: FleetClient, tmp_path: Path) -> None:
    """A status is posted once under its id, and taken back; what nobody may see fails with its code."""
    stage = await on_stage(program, whatsapp, "baileys")
    session = client.session(stage.session)
    handle = await session.send_text("status", "uma vez", audience=[READER], id="py-status")
    outcome = await handle.outcome("sent", timeout=90)
    again = await session.send_text("status", "uma vez", audience=[READER], id="py-status")
    assert (await again.outcome("sent", timeout=90)).message_id == outcome.message_id
    assert outcome.message_id is not None
    await views(stage, outcome.message_id, READER)
    gone = await (await session.delete_message("status", outcome.message_id)).outcome("sent", timeout=90)
    assert gone.message_id is not None
    assert (await views(stage, gone.message_id, READER))[0]["text"] == outcome.message_id
    shown = await whatsapp.get("/api/journal", id=outcome.message_id, contact=READER[1:])
    assert [e["kind"] for e in shown["entries"] if e["kind"] in ("message", "repeat")] == ["message"]
    made = await client.channels.create(stage.session, "Do Python", "por código")
    assert (made.description, made.role) == ("por código", "owner")
    photo = tmp_path / "promo.png"
    photo.write_bytes(picture("PNG"))
    posted = await session.send_image(made.channel, photo, caption="Hoje")
    await posted.outcome("sent", timeout=90)
    said = await (await session.send_text(made.channel, "Pão a R$ 1")).outcome("sent", timeout=90)
    assert said.message_id is not None
    await (await session.edit(made.channel, said.message_id, "Pão a R$ 2")).outcome("sent", timeout=90)
    await stage.heard("post", message_id=said.message_id, text={"body": "Pão a R$ 2"}, channel=made.channel)
    await client.channels.delete(stage.session, made.channel)
    with pytest.raises(RequestError) as missing:
        await client.channels.get(stage.session, made.channel)
    assert missing.value.code.wire == "E_CHANNEL_NOT_FOUND"
