"""A case a kind and direction: what is sent is what the contact sees, what the contact sends is what is told.

A case speaks to the fleet and to the sandbox only, so it holds for every engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from tests.e2e.kinds.files import movie, opus, picture
from tests.e2e.kinds.stage import CONTACT, Stage, b64

Direction = Literal["out", "in"]
Run = Callable[[Stage], Awaitable[None]]
FRIEND = "+5511933330001"
FRIEND_JID = "5511933330001@s.whatsapp.net"


class Case(NamedTuple):
    kind: str
    direction: Direction
    run: Run


CASES: list[Case] = []


def case(kind: str, direction: Direction) -> Callable[[Run], Run]:
    def keep(run: Run) -> Run:
        CASES.append(Case(kind, direction, run))
        return run

    return keep


def inner(entry: dict[str, Any]) -> dict[str, Any]:
    """A shown message without the envelopes that say how it is shown."""
    content: dict[str, Any] = entry["content"]
    for name in ("viewOnceMessage", "viewOnceMessageV2", "ephemeralMessage", "documentWithCaptionMessage"):
        content = content[name]["message"] if name in content else content
    return content


def text_of(entry: dict[str, Any]) -> str:
    content = inner(entry)
    found: str = content.get("conversation") or content["extendedTextMessage"]["text"]
    return found


MARKS = "*negrito* _itálico_ ~riscado~ ```código``` 👩‍👩‍👧‍👦 e\u0301"


@case("Text and formatting", "out")
async def text_out(stage: Stage) -> None:
    assert text_of(await stage.sent("text", {"body": MARKS})) == MARKS


@case("Text and formatting", "in")
async def text_in(stage: Stage) -> None:
    assert (await stage.said(text=MARKS))["text"]["body"] == MARKS


@case("Link preview", "out")
async def preview_out(stage: Stage) -> None:
    card = {"url": "https://example.org/a", "title": "Um título", "description": "Uma descrição"}
    entry = await stage.sent("text", {"body": "veja https://example.org/a", "preview": card})
    shown = inner(entry)["extendedTextMessage"]
    assert (shown["matchedText"], shown["title"], shown["description"]) == tuple(card.values())


@case("Link preview", "in")
async def preview_in(stage: Stage) -> None:
    url = "https://example.org/b"
    sent = {"text": f"olhe {url}", "matchedText": url, "title": "Título", "description": "Mais"}
    data = await stage.said(type="message", message={"extendedTextMessage": sent})
    assert data["text"]["preview"] == {"url": url, "title": "Título", "description": "Mais"}


@case("Mentions", "out")
async def mentions_out(stage: Stage) -> None:
    entry = await stage.sent("text", {"body": "oi @5511933330001", "mentions": [FRIEND]})
    assert inner(entry)["extendedTextMessage"]["contextInfo"]["mentionedJid"] == [FRIEND_JID]
    captioned = {"data": b64(picture("PNG")), "caption": "oi @5511933330001", "mentions": [FRIEND]}
    entry = await stage.sent("image", captioned)
    assert inner(entry)["imageMessage"]["contextInfo"]["mentionedJid"] == [FRIEND_JID]


@case("Mentions", "in")
async def mentions_in(stage: Stage) -> None:
    data = await stage.said(text="oi @5511933330001", mentions=[FRIEND])
    assert [person["pn"] for person in data["mentions"]] == [FRIEND]


def _file(
    kind: str, title: str, data: Callable[[], bytes], content: dict[str, Any], field: str, **shown: Any
) -> None:
    async def out(stage: Stage) -> None:
        raw = data()
        entry = await stage.opened(kind, {"data": b64(raw), **content})
        assert entry["media"]["sha256"] == hashlib.sha256(raw).hexdigest()
        message = inner(entry)[field]
        assert {name: message.get(name) for name in shown} == shown

    case(title, "out")(out)


def _coming(kind: str, title: str, data: Callable[[], bytes], body: dict[str, Any], **told: Any) -> None:
    async def come(stage: Stage) -> None:
        raw = data()
        message = await stage.said(type=kind, media_base64=b64(raw), **body)
        assert message["type"] == kind
        assert {name: message[kind].get(name) for name in told} == told
        stored = await stage.stored(message["id"])
        assert stored["sha256"] == hashlib.sha256(raw).hexdigest()

    case(title, "in")(come)


def photo() -> bytes:
    return picture("JPEG")


CAPTION = "legenda 📷"
_file("image", "Image", photo, {"caption": CAPTION}, "imageMessage", caption=CAPTION)
_coming("image", "Image", photo, {"text": CAPTION}, caption=CAPTION)
_file("video", "Video", movie, {"caption": CAPTION}, "videoMessage", caption=CAPTION)
_coming("video", "Video", movie, {"text": CAPTION, "seconds": 5}, caption=CAPTION, seconds=5)
_file("video", "GIF", movie, {"gif": True}, "videoMessage", gifPlayback=True)
_coming("video", "GIF", movie, {"gif": True}, gif=True)
_file("audio", "Audio", opus, {"mime_type": "audio/ogg"}, "audioMessage", ptt=False)
_coming("audio", "Audio", opus, {"seconds": 2, "mime_type": "audio/ogg"}, seconds=2)
WAVE = bytes(range(64))


@case("Voice note with waveform", "out")
async def voice_out(stage: Stage) -> None:
    raw = opus()
    entry = await stage.opened("voice", {"data": b64(raw)})
    voice = inner(entry)["audioMessage"]
    assert (voice["ptt"], voice["seconds"], voice["mimetype"]) == (True, 2, "audio/ogg; codecs=opus")
    assert voice["waveform"]
    assert entry["media"]["sha256"] == hashlib.sha256(raw).hexdigest()


_coming(
    "voice",
    "Voice note with waveform",
    opus,
    {"seconds": 2, "waveform_base64": b64(WAVE)},
    seconds=2,
    waveform=WAVE,
)
_DOCUMENT = {"filename": "relatório 2026.pdf", "mime_type": "application/pdf", "caption": CAPTION}


def pdf() -> bytes:
    return b"%PDF-1.4\n" + picture("PNG") + b"\n%%EOF\n"


_file(
    "document", "Document", pdf, _DOCUMENT, "documentMessage", fileName="relatório 2026.pdf", caption=CAPTION
)
_coming(
    "document",
    "Document",
    pdf,
    {"filename": "relatório 2026.pdf", "mime_type": "application/pdf", "text": CAPTION},
    filename="relatório 2026.pdf",
    caption=CAPTION,
)


def webp() -> bytes:
    return picture("WEBP", (512, 512))


_file("sticker", "Sticker", webp, {}, "stickerMessage", mimetype="image/webp")
_coming("sticker", "Sticker", webp, {"mime_type": "image/webp", "animated": True}, animated=True)


@case("View-once", "out")
async def view_once_out(stage: Stage) -> None:
    entry = await stage.opened("image", {"data": b64(picture("PNG")), "view_once": True})
    assert "viewOnceMessage" in entry["content"] or inner(entry)["imageMessage"]["viewOnce"] is True


@case("View-once", "in")
async def view_once_in(stage: Stage) -> None:
    raw = picture("PNG")
    data = await stage.said(type="image", media_base64=b64(raw), mime_type="image/png", view_once=True)
    assert data["image"]["view_once"] is True


@case("Location", "out")
async def location_out(stage: Stage) -> None:
    place = {"latitude": -23.5505, "longitude": -46.6333, "name": "Sé", "address": "Praça da Sé, 1"}
    shown = inner(await stage.sent("location", place))["locationMessage"]
    assert (shown["degreesLatitude"], shown["degreesLongitude"]) == (-23.5505, -46.6333)
    assert (shown["name"], shown["address"]) == ("Sé", "Praça da Sé, 1")


@case("Location", "in")
async def location_in(stage: Stage) -> None:
    data = await stage.said(type="location", latitude=-1.25, longitude=2.5, text="aqui")
    assert data["location"] == {"latitude": -1.25, "longitude": 2.5, "name": "aqui"}


@case("Live location", "in")
async def live_location_in(stage: Stage) -> None:
    data = await stage.said(type="live_location", latitude=1.5, longitude=2.5, sequence=7, text="a caminho")
    found = data["live_location"]
    assert (found["latitude"], found["longitude"], found["sequence"]) == (1.5, 2.5, 7)
    assert found["caption"] == "a caminho"


CARD = {
    "name": {"formatted_name": "Ana; Lima, \\ 2", "first_name": "Ana", "last_name": "Lima"},
    "phones": [{"phone": "+55 11 91111-1111", "type": "WORK", "wa_id": "5511911111111"}],
    "emails": [{"email": "ana@example.org", "type": "WORK"}],
    "addresses": [{"street": "Rua A, 1; fundos", "city": "São Paulo", "zip": "01000-000", "type": "HOME"}],
    "org": {"company": "ACME", "department": "Vendas", "title": "Gerente"},
    "urls": [{"url": "https://example.org", "type": "WORK"}],
    "birthday": "1990-01-31",
}


@case("Contacts", "out")
async def contacts_out(stage: Stage) -> None:
    one = inner(await stage.sent("contacts", [CARD]))["contactMessage"]
    assert one["displayName"] == CARD["name"]["formatted_name"]  # type: ignore[index]
    # Read back as it would be told: nothing of the card is lost on the way.
    told = await stage.said(type="message", message={"contactMessage": one})
    assert told["contacts"] == [CARD]
    two = inner(await stage.sent("contacts", [CARD, CARD]))["contactsArrayMessage"]
    assert len(two["contacts"]) == 2


@case("Contacts", "in")
async def contacts_in(stage: Stage) -> None:
    people = [{"name": "Bia", "number": "+5511911110001"}, {"name": "Caio", "number": "+5511911110002"}]
    data = await stage.said(type="contacts", text="2 contatos", contacts=people)
    assert [card["name"]["formatted_name"] for card in data["contacts"]] == ["Bia", "Caio"]
    assert data["contacts"][0]["phones"][0]["wa_id"] == "5511911110001"


POLL = {"name": "Quando?", "options": ["hoje", "amanhã", "nunca"], "selectable": 2}


@case("Poll", "out")
async def poll_out(stage: Stage) -> None:
    shown = inner(await stage.sent("poll", POLL))
    creation = shown.get("pollCreationMessage") or shown["pollCreationMessageV3"]
    assert [option["optionName"] for option in creation["options"]] == POLL["options"]
    assert creation["selectableOptionsCount"] == 2


@case("Poll", "in")
async def poll_in(stage: Stage) -> None:
    data = await stage.said(type="poll", text="Qual?", options=["a", "b"])
    assert data["poll"] == {"name": "Qual?", "options": ["a", "b"]}


@case("Votes in a poll", "in")
async def votes_in(stage: Stage) -> None:
    poll = await stage.sent("poll", POLL)
    vote = await stage.said("poll_vote", type="poll_vote", quoted_id=poll["id"], options=["hoje", "nunca"])
    assert (vote["message_id"], sorted(vote["options"])) == (poll["id"], ["hoje", "nunca"])
    taken_back = await stage.said("poll_vote", type="poll_vote", quoted_id=poll["id"], options=[])
    assert taken_back["options"] == []


@case("Votes in a poll", "out")
async def votes_out(stage: Stage) -> None:
    poll = (await stage.said(type="poll", text="Qual?", options=["hoje", "amanhã"]))["id"]
    seen = await stage.did("vote", message_id=poll, options=["amanhã"])
    assert (seen["type"], seen["chosen"]) == ("poll_vote", ["amanhã"])
    again = await stage.did("vote", message_id=poll, options=["amanhã"])
    assert again["chosen"] == ["amanhã"]
    assert (await stage.did("vote", message_id=poll, options=[]))["chosen"] == []
    unknown = await stage.ended({"message_id": poll, "options": ["nunca"]}, "vote")
    assert (unknown["status"], unknown["error"]["code"]) == ("failed", "E_INVALID_FIELD")
    text = (await stage.said(text="não é enquete"))["id"]
    none = await stage.ended({"message_id": text, "options": ["hoje"]}, "vote")
    assert none["error"]["code"] == "E_MESSAGE_NOT_FOUND"
    votes = [e["data"] for e in stage.program.of("poll_vote", stage.session)]
    ours = [vote["options"] for vote in votes if vote["message_id"] == poll]
    assert ours == [["amanhã"], ["amanhã"], []], "each is told once"


def _native(entry: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = inner(entry)["interactiveMessage"]["nativeFlowMessage"]["buttons"]
    return found


BUTTONS = {
    "type": "button",
    "header": {"type": "text", "text": "Pedido 1042"},
    "body": {"text": "Confirma?"},
    "footer": {"text": "ACME"},
    "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Sim"}}]},
}
LIST = {
    "type": "list",
    "body": {"text": "Escolha"},
    "action": {
        "button": "Ver",
        "sections": [{"title": "Tudo", "rows": [{"id": "a", "title": "A", "description": "Primeira"}]}],
    },
}
LINK = {
    "type": "cta_url",
    "body": {"text": "Abra"},
    "action": {"name": "cta_url", "parameters": {"display_text": "Abrir", "url": "https://example.org/"}},
}


async def _told_alike(stage: Stage, sent: dict[str, Any]) -> None:
    """What a contact sends in the form in which we send it is told in the form of the command."""
    entry = await stage.sent("interactive", sent)
    message = {"interactiveMessage": inner(entry)["interactiveMessage"]}
    told = await stage.said(type="message", message=message)
    assert told["interactive"] == sent


@case("Reply buttons", "out")
async def buttons_out(stage: Stage) -> None:
    entry = await stage.sent("interactive", BUTTONS)
    assert [button["name"] for button in _native(entry)] == ["quick_reply"]
    assert inner(entry)["interactiveMessage"]["body"]["text"] == "Confirma?"


@case("Reply buttons", "in")
async def buttons_in(stage: Stage) -> None:
    await _told_alike(stage, BUTTONS)


@case("List menu", "out")
async def list_out(stage: Stage) -> None:
    assert [button["name"] for button in _native(await stage.sent("interactive", LIST))] == ["single_select"]


@case("List menu", "in")
async def list_in(stage: Stage) -> None:
    await _told_alike(stage, LIST)


@case("Link button and location request", "out")
async def link_out(stage: Stage) -> None:
    assert [button["name"] for button in _native(await stage.sent("interactive", LINK))] == ["cta_url"]
    ask = {"type": "location_request_message", "body": {"text": "Onde?"}, "action": {"name": "send_location"}}
    assert [button["name"] for button in _native(await stage.sent("interactive", ask))] == ["send_location"]


@case("Link button and location request", "in")
async def link_in(stage: Stage) -> None:
    await _told_alike(stage, LINK)


@case("Chosen reply buttons and rows", "in")
async def chosen_in(stage: Stage) -> None:
    menu = await stage.sent("interactive", BUTTONS)
    chosen = await stage.said(type="button_reply", quoted_id=menu["id"], button="yes", text="Sim")
    assert chosen["interactive"] == {"type": "button_reply", "button_reply": {"id": "yes", "title": "Sim"}}
    assert chosen["context"]["message_id"] == menu["id"]
    row = await stage.said(type="list_reply", row="a", text="A", description="Primeira")
    assert row["interactive"]["list_reply"] == {"id": "a", "title": "A", "description": "Primeira"}


@case("Reaction", "out")
async def reaction_out(stage: Stage) -> None:
    theirs = await stage.said(text="gostou?")
    for emoji in ("👍🏽", ""):
        shown = inner(await stage.did("react", message_id=theirs["id"], emoji=emoji))["reactionMessage"]
        assert (shown["key"]["id"], shown.get("text", "")) == (theirs["id"], emoji)


@case("Reaction", "in")
async def reaction_in(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "e aí?"})
    data = await stage.said("reaction", type="reaction", quoted_id=ours["id"], reaction="🎉")
    assert (data["message_id"], data["emoji"]) == (ours["id"], "🎉")


@case("Reply", "out")
async def reply_out(stage: Stage) -> None:
    theirs = await stage.said(text="pergunta")
    entry = await stage.sent("text", {"body": "resposta"}, context={"message_id": theirs["id"]})
    assert inner(entry)["extendedTextMessage"]["contextInfo"]["stanzaId"] == theirs["id"]


@case("Reply", "in")
async def reply_in(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "pergunta"})
    data = await stage.said(text="resposta", quoted_id=ours["id"])
    assert (data["context"]["message_id"], data["context"]["from"]["pn"]) == (ours["id"], stage.number)


@case("Forwarded message", "out")
async def forwarded_out(stage: Stage) -> None:
    theirs = await stage.said(text="corrente")
    shown = inner(await stage.did("forward", message_id=theirs["id"], **{"from": CONTACT}))[
        "extendedTextMessage"
    ]
    assert (shown["text"], shown["contextInfo"]["isForwarded"]) == ("corrente", True)
    raw = picture("JPEG")
    photo = await stage.said(type="image", media_base64=b64(raw), mime_type="image/jpeg", text="legenda")
    await stage.stored(photo["id"])
    entry = await stage.shown_file((await stage.did("forward", message_id=photo["id"]))["id"])
    assert entry["media"]["sha256"] == hashlib.sha256(raw).hexdigest()
    image = inner(entry)["imageMessage"]
    assert (image["caption"], image["contextInfo"]["isForwarded"]) == ("legenda", True)
    told = await stage.ended({"message_id": "3EB0NOSUCHMESSAGE0000"}, "forward")
    assert (told["status"], told["error"]["code"]) == ("failed", "E_MESSAGE_NOT_FOUND")


@case("Forwarded message", "in")
async def forwarded_in(stage: Stage) -> None:
    assert (await stage.said(text="corrente", forwarded=True))["context"]["forwarded"] is True


@case("Pin", "out")
async def pin_out(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "importante"})
    pinned = inner(await stage.did("pin", message_id=ours["id"], seconds=86_400))
    assert pinned["pinInChatMessage"]["key"]["id"] == ours["id"]
    assert pinned["pinInChatMessage"]["type"] == "PIN_FOR_ALL"
    assert pinned["messageContextInfo"]["messageAddOnDurationInSecs"] == 86_400
    taken = inner(await stage.did("pin", message_id=ours["id"], pinned=False))
    assert taken["pinInChatMessage"]["type"] == "UNPIN_FOR_ALL"


@case("Pin", "in")
async def pin_in(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "importante"})
    data = await stage.said("pin", type="pin", quoted_id=ours["id"], seconds=604_800)
    assert (data["message_id"], data["pinned"], data["seconds"]) == (ours["id"], True, 604_800)
    taken = await stage.said("pin", type="pin", quoted_id=ours["id"], pinned=False)
    assert (taken["pinned"], taken["seconds"]) == (False, None)


@case("Edit", "out")
async def edit_out(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "eror"})
    entry = await stage.did("edit", message_id=ours["id"], text={"body": "erro"})
    assert (entry["type"], entry["text"]) == ("edit", "erro")
    await stage.recorded(ours["id"], text={"body": "erro"})


@case("Edit", "in")
async def edit_in(stage: Stage) -> None:
    theirs = await stage.said(text="errado")
    data = await stage.said("edit", type="edit", quoted_id=theirs["id"], text="certo")
    assert (data["message_id"], data["text"]["body"]) == (theirs["id"], "certo")


@case("Delete for everyone", "out")
async def delete_out(stage: Stage) -> None:
    ours = await stage.sent("text", {"body": "ops"})
    entry = await stage.did("delete", message_id=ours["id"])
    assert (entry["type"], entry["text"]) == ("revoke", ours["id"])


@case("Delete for everyone", "in")
async def delete_in(stage: Stage) -> None:
    theirs = await stage.said(text="ops")
    data = await stage.said("delete", type="revoke", quoted_id=theirs["id"])
    assert data["message_id"] == theirs["id"]


@case("Disappearing messages", "out")
async def disappearing_out(stage: Stage) -> None:
    setting = inner(await stage.did("disappearing", seconds=86_400))["protocolMessage"]
    assert (setting["type"], setting["ephemeralExpiration"]) == ("EPHEMERAL_SETTING", 86_400)
    entry = await stage.sent("text", {"body": "some"}, disappear_after=86_400)
    assert inner(entry)["extendedTextMessage"]["contextInfo"]["expiration"] == 86_400


@case("Disappearing messages", "in")
async def disappearing_in(stage: Stage) -> None:
    assert (await stage.said(type="disappearing", seconds=604_800))["disappearing"] == {"seconds": 604_800}
    assert (await stage.said(text="some", disappear_after=604_800))["disappear_after"] == 604_800


EVENT = {
    "name": "Festa",
    "start_at": "2027-01-01T20:00:00Z",
    "end_at": "2027-01-01T23:00:00Z",
    "description": "Traga",
}


@case("Event", "out")
async def event_out(stage: Stage) -> None:
    shown = inner(await stage.sent("event", EVENT))["eventMessage"]
    assert (shown["name"], shown["description"]) == ("Festa", "Traga")
    assert (int(shown["startTime"]), int(shown["endTime"])) == (1_798_833_600, 1_798_844_400)


@case("Event", "in")
async def event_in(stage: Stage) -> None:
    data = await stage.said(type="event", text="Festa", start=1_798_833_600, end=1_798_844_400)
    assert data["event"]["name"] == "Festa"
    assert data["event"]["start_at"].timestamp() == 1_798_833_600
    assert data["event"]["end_at"].timestamp() == 1_798_844_400


@case("Read receipts", "out")
async def read_out(stage: Stage) -> None:
    theirs = await stage.said(text="leia")
    told = await stage.ended({"message_ids": [theirs["id"]]}, "read")
    assert told["status"] == "sent"
    await stage.journaled("gateway_receipt", id=theirs["id"])


@case("Typing and presence", "out")
async def presence_out(stage: Stage) -> None:
    told = await stage.ended({"state": "composing"}, "presence")
    assert told["status"] == "sent"
    await stage.journaled("presence", type="composing")


@case("Typing and presence", "in")
async def presence_in(stage: Stage) -> None:
    await stage.sent("text", {"body": "quem está aí?"})
    await stage.whatsapp.post(f"/api/contacts/{CONTACT}/presence", to=stage.number, state="composing")
    await stage.heard("presence", state="composing")


@case("Calls", "in")
async def call_in(stage: Stage) -> None:
    answer = await stage.whatsapp.post(f"/api/contacts/{CONTACT}/call", to=stage.number, video=True)
    offer = await stage.told(answer["id"], "call")
    assert (offer["state"], offer["video"], offer["from"]["pn"]) == ("offer", True, CONTACT)
