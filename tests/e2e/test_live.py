"""What is asked of a session that works: its worker asks WhatsApp (real Baileys on the sandbox), and answers."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from pywhatsweb import RequestError
from pywhatsweb.client import FleetClient
from pywhatsweb.contracts.history_data import MessagePoint
from tests.e2e.kinds.files import picture
from tests.support import wait_until
from tests.support.running import PWW, Fleet, Plain, Sandbox, new_number, pair

FRIEND = "+5511977770001"
BUSINESS = "+5511977770002"
SHY = "+5511977770003"
NOBODY = "+5511977770004"
ELDER = "+5511977770005"
PICTURE = b"\xff\xd8\xff\xe0 the picture of a friend"


async def working(program: Plain, whatsapp: Sandbox, session: str = "live") -> str:
    """The session's number; it is paired when it is not yet."""
    found = await program.ask("session.status", session_id=session)
    if found["ok"] and found["data"]["status"] == "WORKING":
        return str(found["data"]["phone_number"])
    number = new_number()
    await pair(program, whatsapp, session, number)
    return number


def trusted(fleet: Fleet) -> ssl.SSLContext:
    """Who trusts the local WhatsApp's media host."""
    return ssl.create_default_context(cafile=str(next(fleet.directory.rglob("media_ca.pem"))))


async def refused(work: Any) -> str:
    with pytest.raises(RequestError) as failure:
        await work
    return failure.value.code.wire


async def test_which_numbers_are_on_whatsapp(program: Plain, whatsapp: Sandbox, client: FleetClient) -> None:
    """Each answer stands for the number as it was asked; the account's own form wins over the written one."""
    await working(program, whatsapp)
    await whatsapp.post("/api/contacts", number=NOBODY, behaviour={"registered": False})
    old = await whatsapp.post("/api/contacts", number="+551187776666")
    asked = [FRIEND, NOBODY, "+5511987776666", "(11) 97777-0001", "no number"]
    found = await client.contacts.check(asked, session_id="live")
    assert [one.number for one in found] == asked
    assert [one.exists for one in found] == [True, False, True, True, False]
    assert [one.pn for one in found] == [FRIEND, None, "+551187776666", FRIEND, None]
    assert found[2].lid == old["lid"]
    anywhere = await client.contacts.check([FRIEND])
    assert anywhere[0].exists, "any session that works is asked when none is named"


async def test_what_people_show_of_themselves(
    fleet: Fleet, program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """About, picture and business; what is hidden or not there is null, not an error."""
    await working(program, whatsapp)
    picture = base64.b64encode(PICTURE).decode()
    await whatsapp.post("/api/contacts", number=FRIEND, profile={"about": "Só amigos", "picture": picture})
    await whatsapp.post(
        "/api/contacts", number=SHY, profile={"about": "hidden", "picture": picture, "hidden": True}
    )
    shop = {"description": "Pães e bolos", "category": "Padaria", "email": "a@b.example", "address": "Rua 1"}
    await whatsapp.post("/api/contacts", number=BUSINESS, profile={"business": shop})
    friend = await client.contacts.info(FRIEND, session_id="live")
    assert (friend.exists, friend.person.pn, friend.about, friend.business) == (
        True,
        FRIEND,
        "Só amigos",
        None,
    )
    assert friend.person.lid
    assert friend.about_at
    assert friend.picture
    async with httpx.AsyncClient(verify=trusted(fleet)) as http:
        assert (await http.get(friend.picture)).content == PICTURE
    by_lid = await client.contacts.info(f"lid:{friend.person.lid}", session_id="live")
    assert by_lid.about == "Só amigos"
    shy = await client.contacts.info(SHY, session_id="live")
    assert (shy.exists, shy.about, shy.picture) == (True, None, None)
    assert (await client.contacts.picture(SHY, session_id="live")).url is None
    told = (await client.contacts.info(BUSINESS, session_id="live")).business
    assert told is not None
    assert (told.description, told.category, told.email) == ("Pães e bolos", "Padaria", "a@b.example")
    await whatsapp.post("/api/contacts", number=NOBODY, behaviour={"registered": False})
    assert not (await client.contacts.info(NOBODY, session_id="live")).exists


async def test_who_is_blocked_reaches_nobody(program: Plain, whatsapp: Sandbox, client: FleetClient) -> None:
    """What a blocked contact sends does not come; unblocked, the next does."""
    number = await working(program, whatsapp)
    pest = "+5511977770009"
    await client.contacts.block(pest, session_id="live")
    assert [person.pn for person in await client.contacts.blocked("live")] == [pest]
    await whatsapp.post(f"/api/contacts/{pest}/send", to=number, text="let me in")
    await client.contacts.unblock(pest, session_id="live")
    assert await client.contacts.blocked("live") == []
    await whatsapp.post(f"/api/contacts/{pest}/send", to=number, text="at last")

    def heard() -> list[str]:
        mine = [e for e in program.of("message", "live") if e["data"]["from"]["pn"] == pest]
        return [e["data"]["text"]["body"] for e in mine]

    await wait_until(lambda: "at last" in heard(), 20)
    assert heard() == ["at last"]


async def test_a_session_that_cannot_answer_says_why(
    program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """Unknown, stopped, not paired yet, and of another tenant: each has its code."""
    await working(program, whatsapp)
    assert await refused(client.contacts.blocked("nobody")) == "E_SESSION_NOT_FOUND"
    await program.ok("session.start", session_id="unpaired")
    await wait_until(lambda: program.of("qr", "unpaired"), 30)
    assert await refused(client.contacts.blocked("unpaired")) == "E_SESSION_NOT_READY"
    await program.ok("session.stop", session_id="unpaired")
    assert await refused(client.contacts.blocked("unpaired")) == "E_SESSION_STOPPED"
    assert await refused(client.contacts.block("120363012345678901@g.us", session_id="live")) == (
        "E_INVALID_RECIPIENT"
    )


async def test_many_questions_at_once(program: Plain, whatsapp: Sandbox, client: FleetClient) -> None:
    """More than one session takes at once are told to wait; those taken are answered."""
    await working(program, whatsapp)
    answers = await asyncio.gather(
        *(client.contacts.check([FRIEND], session_id="live") for _ in range(60)), return_exceptions=True
    )
    codes = {answer.code.wire for answer in answers if isinstance(answer, RequestError)}
    assert codes <= {"E_RATE_LIMITED"}
    assert sum(isinstance(answer, list) and answer[0].exists for answer in answers) >= 16


async def test_what_the_account_shows_and_who_it_hears(
    fleet: Fleet, program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """Its name, picture and about text as contacts see them, a contact's presence, and a call that is refused."""
    number = await working(program, whatsapp)
    await client.profiles.set_about("live", "Atendemos até as 18h")
    mine = await client.profiles.get("live")
    assert (mine.person.pn, mine.about, mine.picture) == (number, "Atendemos até as 18h", None)
    assert (await client.contacts.info(number, session_id="live")).about == "Atendemos até as 18h"
    await client.profiles.set_name("live", "Padaria Boa")
    assert (await client.profiles.get("live")).person.name == "Padaria Boa"
    assert (await whatsapp.get(f"/api/contacts/{number}"))["name"] == "Padaria Boa"
    await client.profiles.set_picture("live", picture("PNG"))
    shown = (await client.contacts.picture(number, session_id="live")).url
    assert shown is not None
    async with httpx.AsyncClient(verify=trusted(fleet)) as http:
        assert (await http.get(shown)).content.startswith(b"\xff\xd8\xff"), "a JPEG of it"
    await client.profiles.set_picture("live", None)
    assert (await client.profiles.get("live")).picture is None
    assert await refused(client.profiles.set_picture("live", b"no image")) == "E_MEDIA_CORRUPT"
    await client.contacts.watch(FRIEND, session_id="live")

    async def noted(kind: str, **wanted: str) -> bool:
        found = await whatsapp.get("/api/journal", account=number, kind=kind)
        return any(wanted.items() <= entry.items() for entry in found["entries"])

    await wait_until(lambda: noted("presence", type="subscribe", contact=FRIEND[1:]), 20)
    await whatsapp.post(f"/api/contacts/{FRIEND}/presence", to=number, state="composing")
    await wait_until(lambda: program.of("presence", "live"), 20)
    assert program.of("presence", "live")[0]["data"]["state"] == "composing"
    ring = await whatsapp.post(f"/api/contacts/{FRIEND}/call", to=number)
    call = (await wait_until(lambda: program.of("call", "live"), 20))[0]["data"]
    assert (call["id"], call["state"], call["from"]["pn"]) == (ring["id"], "offer", FRIEND)
    await client.calls.reject("live", call["id"], FRIEND)
    await wait_until(lambda: noted("call", type="reject", id=ring["id"]), 20)


async def _pww(fleet: Fleet, *arguments: str) -> tuple[int, str]:
    """Its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        PWW, *arguments, "--data-dir", fleet.directory / "data", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_at_the_command_line_and_over_http(fleet: Fleet, program: Plain, whatsapp: Sandbox) -> None:
    """The same through `pww contact`, `pww group` and REST; a refusal has its code and exit code."""
    await working(program, whatsapp)
    await whatsapp.post("/api/contacts", number=NOBODY, behaviour={"registered": False})

    def pww(*arguments: str) -> Awaitable[tuple[int, str]]:
        return _pww(fleet, *arguments)

    assert (await pww("contact", "check", FRIEND, "--session", "live"))[0] == 0
    code, out = await pww("contact", "check", FRIEND, NOBODY, "--session", "live", "--format", "json")
    assert (code != 0, [json.loads(line)["exists"] for line in out.splitlines()]) == (True, [True, False])
    code, out = await pww("group", "create", "Linha", FRIEND, "--session", "live", "--format", "json")
    assert code == 0, out
    group = json.loads(out)["group"]
    code, out = await pww("group", "people", "promote", group, FRIEND, "--session", "live")
    assert (code, "ok" in out) == (0, True)
    code, out = await pww("group", "show", group, "--session", "live")
    assert (code, "Linha" in out, "admin" in out) == (0, True, True)
    assert "https://chat.whatsapp.com/" in (await pww("group", "invite", group, "--session", "live"))[1]
    key = fleet.ready["tenants"]["demo"]["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=headers, timeout=40) as http:
        found = await http.post("/v1/group/get", json={"session_id": "live", "group": group})
        assert (found.status_code, found.json()["subject"]) == (200, "Linha")
        missing = await http.post("/v1/contact/blocked", json={"session_id": "nobody"})
        assert (missing.status_code, missing.json()["code"]) == (404, "E_SESSION_NOT_FOUND")


async def test_calls_are_refused_and_answered_as_the_session_says(program: Plain, whatsapp: Sandbox) -> None:
    """With the setting `calls`: nobody asks, the call is refused and who rang gets the text."""
    number = new_number()
    text = "Não atendemos ligações; escreva aqui."
    await program.ok("session.start", session_id="deaf", settings={"calls": {"reject": True, "text": text}})
    await wait_until(lambda: program.of("qr", "deaf"), 30)
    await whatsapp.scan(number, program.of("qr", "deaf")[-1]["data"]["code"])
    await program.reached("deaf", "WORKING")
    ring = await whatsapp.post(f"/api/contacts/{FRIEND}/call", to=number)

    async def refusals() -> list[str]:
        found = await whatsapp.get("/api/journal", account=number, kind="call")
        return [entry["id"] for entry in found["entries"] if entry["type"] == "reject"]

    await wait_until(refusals, 20)
    assert await refusals() == [ring["id"]]
    await wait_until(lambda: program.of("message", "deaf"), 20)
    told = program.of("message", "deaf")[0]["data"]
    assert (told["origin"], told["text"]["body"], told["chat"]["pn"]) == ("outbound", text, FRIEND)
    assert [entry["text"] for entry in await whatsapp.decrypted(number)] == [text]


async def test_the_state_that_an_accounts_devices_share(
    fleet: Fleet, program: Plain, whatsapp: Sandbox, client: FleetClient
) -> None:
    """Another device that is quicker costs a try, not the change; what the phone did meanwhile is told later."""
    number = await working(program, whatsapp)
    await whatsapp.post("/api/faults", kind="state_conflict", account=number)
    await client.chats.pin("live", FRIEND)

    async def read() -> list[tuple[str, bool]]:
        found = await whatsapp.get("/api/journal", account=number, kind="state")
        return [(entry["type"], entry["device"] == 0) for entry in found["entries"]]

    assert (await read())[-2:] == [("setting_locale", True), ("pin_v1", False)]
    assert await refused(client.chats.star("live", FRIEND, "3EB0NOSUCHMESSAGE0000")) == "E_MESSAGE_NOT_FOUND"
    assert await refused(client.chats.mute("live", FRIEND, until="tomorrow")) == "E_INVALID_FIELD"
    await program.ok("session.stop", session_id="live")
    await program.reached("live", "STOPPED")
    muted = {"muteAction": {"muted": True, "muteEndTimestamp": -1}}
    jid = f"{FRIEND[1:]}@s.whatsapp.net"
    await whatsapp.post(
        f"/api/phones/{number}/state", collection="regular_high", index=["mute", jid], action=muted
    )
    await program.ok("session.start", session_id="live")

    def told() -> bool:
        settings = [e["data"] for e in program.of("chat_setting", "live")]
        return any((data["change"], data["chat"]["pn"]) == ("mute", FRIEND) for data in settings)

    await wait_until(told, 60, message="what the phone did while the session was away")
    await program.reached("live", "WORKING")


async def test_a_phone_that_does_not_answer(program: Plain, whatsapp: Sandbox, client: FleetClient) -> None:
    """Who asked for older messages is told so by a code, and what the phone answers late is told all the same."""
    number = await working(program, whatsapp)
    body = {"contact": FRIEND, "text": "ninguém atende"}
    (old,) = (await whatsapp.post(f"/api/phones/{number}/past", **body))["ids"]
    await whatsapp.post("/api/faults", kind="late_phone", account=number, delay_ms=4000)
    end = MessagePoint(message_id="3EB0UNKNOWNTOTHEPHONE0", sent_at="2037-01-01T00:00:00Z")
    with pytest.raises(RequestError) as silent:
        await client.chats.fetch_older("live", FRIEND, before=end, wait_s=0.1)
    assert silent.value.code.wire == "E_PHONE_SILENT"
    request = silent.value.details["detail"]

    def answered() -> bool:
        return any(e["data"]["request_id"] == request for e in program.of("history", "live"))

    await wait_until(answered, 90, message="the phone answers late")
    assert any(e["data"]["id"] == old and e["data"]["history"] for e in program.of("message", "live"))


async def test_older_messages_at_the_command_line(fleet: Fleet, program: Plain, whatsapp: Sandbox) -> None:
    """`pww chat older` goes on page by page from the oldest that the record has, until the phone has no more."""
    number = await working(program, whatsapp)
    body = {"contact": ELDER, "text": "já faz tempo", "count": 5}
    ids = (await whatsapp.post(f"/api/phones/{number}/past", **body))["ids"]
    command = ("chat", "older", ELDER, "--session", "live", "--count", "3")
    assert (await _pww(fleet, *command))[0] != 0, "there is nothing to begin at"
    (now,) = (await whatsapp.post(f"/api/contacts/{ELDER}/send", to=number, text="oi de novo"))["ids"]

    async def recorded() -> list[str]:
        page = await program.ask("chat.messages", to=ELDER, session_id="live", limit=50)
        return [message["id"] for message in page["data"]["messages"]] if page["ok"] else []

    async def answered(*more: str) -> str:
        code, out = await _pww(fleet, *command, *more)
        return out if code == 0 else ""  # a busy machine's phone may take its time

    await wait_until(recorded, 60, message="the message is recorded")
    told = await wait_until(lambda: answered("--pages", "3", "--format", "json"), 90)
    pages = [json.loads(line) for line in told.splitlines()]
    assert (max(page["messages"] for page in pages), pages[-1]["more"]) == (3, False)

    async def complete() -> bool:
        return await recorded() == [now, *reversed(ids)]

    await wait_until(complete, 60, message="all of them are recorded, in their order")
    assert "That was all." in await wait_until(answered, 90)


async def test_a_session_may_leave_the_files_of_statuses(program: Plain, whatsapp: Sandbox) -> None:
    """With `post_files` false a status is told and its file is not fetched; a message's is."""
    number = new_number()
    await program.ok("session.start", session_id="frugal", settings={"post_files": False})
    await pair(program, whatsapp, "frugal", number)
    file = {"type": "image", "media_base64": base64.b64encode(picture("JPEG")).decode()}
    await whatsapp.post(f"/api/contacts/{FRIEND}/send", to=number, status=True, **file)
    await wait_until(lambda: program.of("post", "frugal"), 60)
    answer = await whatsapp.post(f"/api/contacts/{FRIEND}/send", to=number, **file)
    (told,) = await wait_until(lambda: program.of("media", "frugal"), 60)
    assert told["data"]["message_id"] == answer["ids"][0]
    assert "place" not in told["data"]
