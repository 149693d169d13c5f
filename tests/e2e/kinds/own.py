"""Cases of what the account alone sees: its devices share it, so the other side is the account's own phone."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from tests.e2e.kinds.cases import FRIEND, FRIEND_JID, case
from tests.e2e.kinds.files import picture
from tests.e2e.kinds.stage import CONTACT, Stage, b64
from tests.support import wait_until

JID = f"{CONTACT[1:]}@s.whatsapp.net"
QUIET = "+5511933330017"
QUIET_JID = "5511933330017@s.whatsapp.net"
POSTER = "+5511933330018"
CHATS = "Chats archived, muted, pinned, unread"
CHRISTMAS = "2027-12-24T21:00:00.000Z"
CHRISTMAS_MS = 1_829_682_000_000


@case(CHATS, "out")
async def chats_out(stage: Stage) -> None:
    # A chat of its own: of two messages in one second either is the newest.
    newest = (await stage.said(by=QUIET, text="para arquivar"))["id"]
    await stage.recorded(newest, QUIET)
    await stage.asked("chat.archive", to=QUIET)
    archived = (await stage.state("archive", QUIET_JID))["archiveChatAction"]
    assert archived["archived"] is True
    assert [each["key"]["id"] for each in archived["messageRange"]["messages"]] == [newest]
    await _told_of(stage, QUIET, change="archive", on=True)
    await stage.asked("chat.mute", to=QUIET, until="2027-12-24T18:00:00-03:00")
    muted = (await stage.state("mute", QUIET_JID))["muteAction"]
    assert (muted["muted"], int(muted["muteEndTimestamp"])) == (True, CHRISTMAS_MS)
    await _told_of(stage, QUIET, change="mute", on=True, until=CHRISTMAS)
    await stage.asked("chat.mute", to=QUIET, muted=False)
    assert (await stage.state("mute", QUIET_JID))["muteAction"].get("muted", False) is False
    await stage.asked("chat.pin", to=QUIET)
    assert (await stage.state("pin_v1", QUIET_JID))["pinAction"]["pinned"] is True
    await stage.asked("chat.mark", to=QUIET)
    assert (await stage.state("markChatAsRead", QUIET_JID))["markChatAsReadAction"].get(
        "read", False
    ) is False


@case(CHATS, "in")
async def chats_in(stage: Stage) -> None:
    await stage.on_phone("regular_low", ["archive", FRIEND_JID], archiveChatAction={"archived": True})
    muted = {"muted": True, "muteEndTimestamp": CHRISTMAS_MS}
    await stage.on_phone("regular_high", ["mute", FRIEND_JID], muteAction=muted)
    await stage.on_phone("regular_low", ["pin_v1", FRIEND_JID], pinAction={"pinned": True})
    await stage.on_phone("regular_low", ["markChatAsRead", FRIEND_JID], markChatAsReadAction={"read": False})
    for change in ("archive", "mute", "pin", "unread"):
        until = CHRISTMAS if change == "mute" else None
        await _told_of(stage, FRIEND, change=change, on=True, until=until)
    # Of a chat that the phone names by its LID the number is known once its contact has written.
    await stage.said(text="olá")
    contact = await stage.whatsapp.get(f"/api/contacts/{CONTACT}")
    lid = f"{contact['lid']}@lid"
    await stage.on_phone("regular_high", ["mute", lid], muteAction={"muted": True, "muteEndTimestamp": -1})
    data = await _told_of(stage, CONTACT, change="mute", on=True, until=None)
    assert data["chat"]["lid"] == contact["lid"]


async def _told_of(stage: Stage, number: str, **fields: Any) -> dict[str, Any]:
    def found() -> Any:
        told = [e["data"] for e in stage.program.of("chat_setting", stage.session)]
        return next((d for d in told if d["chat"]["pn"] == number and fields.items() <= d.items()), None)

    data: Any = await wait_until(found, 90, message=f"chat_setting of {number} with {fields}")
    return dict(data)


@case("Star", "out")
async def star_out(stage: Stage) -> None:
    theirs = (await stage.said(text="guarde"))["id"]
    await stage.recorded(theirs)
    await stage.asked("message.star", message_id=theirs)
    assert (await stage.state("star", theirs))["starAction"]["starred"] is True
    await stage.heard("mark", message_id=theirs, mark="star", on=True, from_self=False)
    await stage.asked("message.star", message_id=theirs, starred=False)
    assert (await stage.state("star", theirs))["starAction"]["starred"] is False


@case("Star", "in")
async def star_in(stage: Stage) -> None:
    ours = (await stage.sent("text", {"body": "guarde"}))["id"]
    await stage.on_phone("regular_low", ["star", JID, ours, "1", "0"], starAction={"starred": True})
    await stage.heard("mark", message_id=ours, mark="star", on=True, from_self=True)


@case("Labels on chats", "out")
async def labels_on_chats_out(stage: Stage) -> None:
    await _label_on_phone(stage, "72", name="A pagar", color=5)
    for verb, labeled in (("add", True), ("remove", False)):
        await _label(stage, verb, label_id="72", to=CONTACT)
        assert (await stage.state("label_jid", JID))["labelAssociationAction"].get(
            "labeled", False
        ) is labeled
        await stage.heard("label", label_id="72", change=verb, message_id=None)
    body = {"session_id": stage.session, "label_id": "999", "to": CONTACT}
    gone = await stage.program.ask("label.add", **body)
    assert gone["error"]["code"] == "E_LABEL_NOT_FOUND"


@case("Labels on chats", "in")
async def labels_on_chats_in(stage: Stage) -> None:
    await _label_on_phone(stage, "71", name="VIP", color=3)
    for change, labeled in (("add", True), ("remove", False)):
        action = {"labeled": labeled}
        await stage.on_phone("regular", ["label_jid", "71", FRIEND_JID], labelAssociationAction=action)
        told = await _told_label(stage, "71", change)
        assert told["chat"]["pn"] == FRIEND


@case("Labels made and changed", "out")
async def labels_made_out(stage: Stage) -> None:
    made = await _label(stage, "put", name="A pagar", color=5)
    number = made["label_id"]
    assert (made["name"], made["color"]) == ("A pagar", 5)
    seen = (await stage.state("label_edit", number))["labelEditAction"]
    assert (seen["name"], seen["color"]) == ("A pagar", 5)
    await stage.heard("label", label_id=number, change="put", name="A pagar", color=5)
    changed = await _label(stage, "put", label_id=number, name="Pago")
    assert (changed["name"], changed["color"]) == ("Pago", 5), "what was not named stays"
    assert changed in (await _label(stage, "list"))["labels"]
    await _label(stage, "delete", label_id=number)
    assert (await stage.state("label_edit", number))["labelEditAction"]["deleted"] is True


@case("Labels made and changed", "in")
async def labels_made_in(stage: Stage) -> None:
    await _label_on_phone(stage, "73", name="Novo", color=3)
    await _label_on_phone(stage, "73", name="Antigo", color=4)
    assert {"label_id": "73", "name": "Antigo", "color": 4} in (await _label(stage, "list"))["labels"]
    gone = {"name": "Antigo", "color": 4, "deleted": True}
    await stage.on_phone("regular", ["label_edit", "73"], labelEditAction=gone)
    await stage.heard("label", label_id="73", change="delete")
    assert "73" not in [one["label_id"] for one in (await _label(stage, "list"))["labels"]]


@case("Labels on messages", "out")
async def labels_on_messages_out(stage: Stage) -> None:
    theirs = (await stage.said(text="quero pagar"))["id"]
    await _label_on_phone(stage, "74", name="Pedido", color=1)
    for verb, labeled in (("add", True), ("remove", False)):
        await _label(stage, verb, label_id="74", to=CONTACT, message_id=theirs)
        seen = (await stage.state("label_message", theirs))["labelAssociationAction"]
        assert seen.get("labeled", False) is labeled
    await stage.heard("label", label_id="74", change="add", message_id=theirs)


@case("Labels on messages", "in")
async def labels_on_messages_in(stage: Stage) -> None:
    theirs = (await stage.said(text="este aqui"))["id"]
    await _label_on_phone(stage, "75", name="Pedido", color=1)
    index = ["label_message", "75", JID, theirs, "0", "0"]
    await stage.on_phone("regular", index, labelAssociationAction={"labeled": True})
    assert (await _told_label(stage, "75", "add"))["message_id"] == theirs


async def _label_on_phone(stage: Stage, number: str, *, name: str, color: int) -> None:
    """Made or changed by the account's phone, and told."""
    await stage.on_phone("regular", ["label_edit", number], labelEditAction={"name": name, "color": color})
    await stage.heard("label", label_id=number, change="put", name=name, color=color)


async def _told_label(stage: Stage, number: str, change: str) -> dict[str, Any]:
    def found() -> Any:
        told = [e["data"] for e in stage.program.of("label", stage.session)]
        return next((d for d in told if (d["label_id"], d["change"]) == (number, change)), None)

    data: Any = await wait_until(found, 90, message=f"label {number}: {change}")
    return dict(data)


async def _label(stage: Stage, verb: str, **body: Any) -> dict[str, Any]:
    data = await stage.program.ok(f"label.{verb}", session_id=stage.session, **body)
    return dict(data)


@case("Delete for me", "out")
async def delete_for_me_out(stage: Stage) -> None:
    theirs = (await stage.said(text="não preciso mais"))["id"]
    told = await stage.ended({"message_id": theirs, "for_everyone": False}, "delete")
    assert told["status"] == "sent", told
    assert "deleteMessageForMeAction" in await stage.state("deleteMessageForMe", theirs)
    await stage.heard("mark", message_id=theirs, mark="delete_for_me", on=True, from_self=False)
    marks = [e["data"] for e in stage.program.of("mark", stage.session)]
    assert [mark["message_id"] for mark in marks].count(theirs) == 1


@case("Delete for me", "in")
async def delete_for_me_in(stage: Stage) -> None:
    theirs = (await stage.said(text="nem eu"))["id"]
    entry = ["deleteMessageForMe", JID, theirs, "0", "0"]
    await stage.on_phone("regular_high", entry, deleteMessageForMeAction={"deleteMedia": True})
    await stage.heard("mark", message_id=theirs, mark="delete_for_me", on=True, from_self=False)


@case("Status (stories)", "in")
async def status_in(stage: Stage) -> None:
    data = await stage.said("post", by=POSTER, status=True, text="Feriado: fechados amanhã")
    assert (data["place"], data["from"]["pn"], data["text"]) == (
        "status",
        POSTER,
        {"body": "Feriado: fechados amanhã"},
    )
    gone = await stage.said("post", by=POSTER, status=True, type="revoke", quoted_id=data["id"])
    assert (gone["type"], gone["message_id"]) == ("deleted", data["id"])
    raw = picture("JPEG")
    seen = await stage.said("post", by=POSTER, status=True, type="image", media_base64=b64(raw))
    assert (seen["type"], seen["media"]["mime_type"]) == ("image", "image/jpeg")
    assert "source" not in seen["media"], "the key that opens it at WhatsApp"
    stored = await stage.stored(seen["id"])
    assert stored["sha256"] == hashlib.sha256(raw).hexdigest()
    kept = await stage.program.ok("media.get", session_id=stage.session, message_id=seen["id"])
    assert base64.b64decode(kept["data"]) == raw
    files = await stage.program.ok("media.list", to=POSTER)
    assert [one["id"] for one in files["media"]] == [stored["id"]], "an erasure of its author finds it"
    # What is said to all who follow is no message: no chat is opened by it, and no card.
    chat = await stage.program.ask("chat.card", to=POSTER, session_id=stage.session)
    assert chat["error"]["code"] == "E_CHAT_NOT_FOUND"
    assert not [e for e in stage.program.of("message", stage.session) if e["data"]["from"]["pn"] == POSTER]
