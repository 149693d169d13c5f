"""What is posted to whoever follows: statuses and channels."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from tests.e2e.kinds.cases import case, inner, text_of
from tests.e2e.kinds.files import opus, picture
from tests.e2e.kinds.stage import Stage, b64
from tests.support import wait_until

READER = "+5511933330021"
FRIEND = "+5511933330022"
LEFT = "+5511933330023"
NOT_OFFERED = {"webjs": ("document", "edit")}
"""What whatsapp-web.js does not post in channels, of what is posted here."""


async def posted(stage: Stage, to: str, verb: str = "send", **body: Any) -> dict[str, Any]:
    """Publishes it; the `post` event that tells it."""
    told = await stage.ended(body, verb, to)
    assert told["status"] in ("sent", "delivered", "read", "played"), told
    post = await stage.told(told["message_id"], "post")
    assert (post["origin"], post["from_self"], post["command_id"]) == ("outbound", True, told["command_id"])
    return post


async def views(stage: Stage, message_id: str, *readers: str) -> list[dict[str, Any]]:
    """What each reader's phone showed of it, once all have."""

    async def found() -> Any:
        page = await stage.whatsapp.get("/api/journal", id=message_id, kind="message")
        seen = {f"+{entry['contact']}": entry for entry in page["entries"]}
        return [seen[reader] for reader in readers] if seen.keys() >= set(readers) else None

    shown: Any = await wait_until(found, 90, interval=0.05, message=f"{message_id} is shown to all")
    return list(shown)


async def refused(stage: Stage, to: str, code: str, **body: Any) -> dict[str, Any]:
    told = await stage.ended(body, to=to)
    assert (told["status"], told["error"]["code"]) == ("rejected", code), told
    details: dict[str, Any] = told["error"]["details"]
    return details


@case("Status (stories)", "out")
async def status_out(stage: Stage) -> None:
    said = {"body": "Feriado: fechados amanhã", "background": "#aa3355"}
    text: dict[str, Any] = {"type": "text", "text": said}
    readers = await _to(stage, READER, FRIEND)
    post = await posted(stage, "status", **readers, **text)
    assert (post["place"], post["channel"], post["text"]) == ("status", None, text["text"])
    shown = [inner(entry)["extendedTextMessage"] for entry in await views(stage, post["id"], READER, FRIEND)]
    assert [(one["text"], one["backgroundArgb"]) for one in shown] == [(said["body"], 0xFFAA3355)] * 2
    await stage.heard("status", message_id=post["id"], command_id=post["command_id"], status="read")
    gone = await posted(stage, "status", "delete", message_id=post["id"])
    assert (gone["type"], gone["message_id"]) == ("deleted", post["id"])
    assert [entry["type"] for entry in await views(stage, gone["id"], READER, FRIEND)] == ["revoke", "revoke"]
    seen = await posted(
        stage,
        "status",
        type="image",
        image={"data": b64(picture("PNG")), "caption": "promoção"},
        **readers,
    )
    assert seen["media"]["mime_type"] == "image/png"
    assert inner(await stage.shown_file(seen["id"]))["imageMessage"]["caption"] == "promoção"
    if readers:
        await _by_default(stage)
    details = await refused(
        stage, "status", "E_UNSUPPORTED_TYPE", type="poll", poll={"name": "?", "options": ["a", "b"]}
    )
    assert details == {"engine": stage.engine, "kind": "status_post.poll"}
    await refused(stage, FRIEND, "E_INVALID_FIELD", audience=[READER], **text)


async def _to(stage: Stage, *readers: str) -> dict[str, Any]:
    """What shows a status to them: an audience; or, where nobody can name one, that they have chats here."""
    if stage.engine == "baileys":
        return {"audience": [*readers]}
    for who in readers:
        await stage.said(by=who, text="oi")
    words: dict[str, Any] = {"type": "text", "text": {"body": "só para um"}}
    details = await refused(stage, "status", "E_UNSUPPORTED_TYPE", audience=[*readers], **words)
    assert details == {"engine": stage.engine, "kind": "status_audience"}
    return {}


async def _by_default(stage: Stage) -> None:
    """Without an audience it is the people of the session's chats, but for those who opted out."""
    for who in (FRIEND, LEFT):
        said = await stage.said(by=who, text="oi")
        await stage.recorded(said["id"], who)
    await stage.program.ok("contact.opt_out", to=LEFT)
    post = await posted(stage, "status", type="text", text={"body": "para todos"})
    await views(stage, post["id"], FRIEND)
    page = await stage.whatsapp.get("/api/journal", id=post["id"], kind="message", limit=10_000)
    assert LEFT.removeprefix("+") not in {entry["contact"] for entry in page["entries"]}


async def _files_out(stage: Stage, channel: str) -> None:
    """A follower's phone opens each, as it is."""
    for kind, raw, more in (
        ("image", picture("PNG"), {"caption": "promoção"}),
        ("voice", opus(), {}),
        ("document", b"%PDF-1.4 tabela", {"filename": "tabela.pdf", "mime_type": "application/pdf"}),
    ):
        body: dict[str, Any] = {"type": kind, kind: {"data": b64(raw), **more}}
        if kind in NOT_OFFERED.get(stage.engine, ()):
            assert (await refused(stage, channel, "E_UNSUPPORTED_TYPE", **body))[
                "kind"
            ] == f"channel_post.{kind}"
            continue
        post = await posted(stage, channel, **body)
        entry = await stage.shown_file(post["id"])
        assert (entry["type"], entry["media"]["sha256"]) == (kind, hashlib.sha256(raw).hexdigest())
        assert post["media"]["sha256"] == entry["media"]["sha256"]


async def _corrected(stage: Stage, channel: str, message_id: str) -> None:
    dearer = {"type": "text", "text": {"body": "Pão a R$ 2"}}
    changed = await posted(stage, channel, "edit", message_id=message_id, **dearer)
    assert (changed["type"], changed["text"], changed["message_id"]) == ("text", dearer["text"], message_id)
    await stage.journaled("message", type="edit", id=message_id, text="Pão a R$ 2")


@case("Channel posts", "in")
async def channel_in(stage: Stage) -> None:
    made = await stage.whatsapp.post("/api/channels", owner=FRIEND, name="Notícias")
    channel, link = made["id"], f"https://whatsapp.com/channel/{made['invite']}"
    found = await stage.program.ok("channel.get", session_id=stage.session, channel=link)
    assert (found["channel"], found["name"], found["role"], found["link"]) == (
        channel,
        "Notícias",
        "guest",
        link,
    )
    await acted(stage, "follow", link)
    data = await _said_in(stage, channel, text="Chuva à tarde")
    assert (data["place"], data["channel"], data["text"]) == ("channel", channel, {"body": "Chuva à tarde"})
    assert (data["origin"], data["from"]["pn"]) == ("inbound", None)
    await _said_in(stage, channel, type="edit", quoted_id=data["id"], text="Sol à tarde")
    await stage.heard("post", type="text", message_id=data["id"], text={"body": "Sol à tarde"})
    raw = picture("JPEG")
    seen = await _said_in(stage, channel, type="image", media_base64=b64(raw))
    assert (seen["type"], "source" in seen["media"]) == ("image", False)
    stored = await stage.stored(seen["id"])
    kept = await stage.program.ok("media.get", session_id=stage.session, message_id=seen["id"])
    assert (kept["id"], base64.b64decode(kept["data"])) == (stored["id"], raw)
    files = await stage.program.ok("media.list", to=channel)
    assert [one["id"] for one in files["media"]] == [stored["id"]]
    await _said_in(stage, channel, type="revoke", quoted_id=data["id"])
    await stage.heard("post", type="deleted", channel=channel, message_id=data["id"])
    await acted(stage, "mute", channel)
    muted = await stage.program.ok("channel.get", session_id=stage.session, channel=channel)
    assert (muted["role"], muted["muted"], muted["subscribers"]) == ("subscriber", True, 1)
    await acted(stage, "unfollow", channel)
    left = await stage.program.ok("channel.get", session_id=stage.session, channel=channel)
    assert left["role"] == "guest"


async def acted(stage: Stage, verb: str, channel: str) -> None:
    await stage.program.ok(f"channel.{verb}", session_id=stage.session, channel=channel)


async def _said_in(stage: Stage, channel: str, **body: Any) -> dict[str, Any]:
    """Its owner posts; the event that tells it, or (of one that is taken back) what it was."""
    answer = await stage.whatsapp.post(f"/api/contacts/{FRIEND}/send", to=channel, **body)
    return await stage.told(answer["ids"][0], "post")


@case("Channel posts", "out")
async def channel_out(stage: Stage) -> None:
    made = await stage.program.ok("channel.create", session_id=stage.session, name="Ofertas")
    channel = made["channel"]
    assert (made["role"], made["subscribers"]) == ("owner", 0)
    await stage.whatsapp.post("/api/channels/follow", channel=channel, by=READER)
    post = await posted(stage, channel, type="text", text={"body": "Pão a R$ 1"})
    assert (post["place"], post["channel"]) == ("channel", channel)
    assert text_of((await views(stage, post["id"], READER))[0]) == "Pão a R$ 1"
    if "edit" not in NOT_OFFERED.get(stage.engine, ()):
        await _corrected(stage, channel, post["id"])
    gone = await posted(stage, channel, "delete", message_id=post["id"])
    assert (gone["type"], gone["message_id"]) == ("deleted", post["id"])
    await stage.journaled("message", type="revoke", id=post["id"])
    await _files_out(stage, channel)
    place = {"type": "location", "location": {"latitude": -23.5, "longitude": -46.6}}
    assert (await refused(stage, channel, "E_UNSUPPORTED_TYPE", **place))["kind"] == "channel_post.location"
    theirs = await stage.whatsapp.post("/api/channels", owner=FRIEND, name="Dela")
    told = await stage.ended({"type": "text", "text": {"body": "posso?"}}, to=theirs["id"])
    assert (told["status"], told["error"]["code"]) == ("failed", "E_NOT_CHANNEL_ADMIN")
    await acted(stage, "delete", channel)
    lost = await stage.program.ask("channel.get", session_id=stage.session, channel=channel)
    assert lost["error"]["code"] == "E_CHANNEL_NOT_FOUND"
