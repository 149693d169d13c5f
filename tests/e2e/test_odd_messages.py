"""Whatever people write arrives unchanged, both ways; whatever strangers send disturbs nobody."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.kinds import odd
from tests.e2e.kinds.cases import inner
from tests.e2e.kinds.stage import CONTACT, Stage, b64, on_stage
from tests.support import wait_until
from tests.support.running import Fleet, plain, sandbox

ENGINES = ("baileys",)
"""Of this folder's fleet."""
_AS_PROTO = {
    "text": ("extendedTextMessage", {"body": "text"}),
    "location": ("locationMessage", {"name": "name", "address": "address"}),
    "poll": ("pollCreationMessage", {"name": "name"}),
    "document": ("documentMessage", {"caption": "caption", "filename": "fileName"}),
    "contacts": ("contactMessage", {}),
}


@pytest.mark.parametrize("engine", ENGINES)
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
@given(batch=st.lists(odd.messages, min_size=12, max_size=12))
async def test_what_is_sent_is_seen_and_what_is_said_is_told(
    fleet: Fleet, engine: str, batch: list[Any]
) -> None:
    """Each is sent; what the contact opened says the same, and sent back by the contact it is told the same."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        stage = await on_stage(program, whatsapp, engine)
        await asyncio.gather(*(_there_and_back(stage, kind, content) for kind, content in batch))


async def _there_and_back(stage: Stage, kind: str, content: Any) -> None:
    sent = {**content, "data": b64(b"%PDF-1.4 " + os.urandom(64))} if kind == "document" else content
    shown = inner(await stage.sent(kind, sent))
    field, names = _AS_PROTO[kind]
    if kind == "poll" and content["selectable"] == 1:
        field = "pollCreationMessageV3"
    seen = shown[field]
    for ours, theirs in names.items():
        assert seen.get(theirs) == content.get(ours), (kind, ours)
    told = (await stage.said(type="message", message={field: seen}))[kind]
    if kind == "document":
        told = {name: value for name, value in told.items() if name in content}
    if kind == "poll":
        told = {"selectable": 1, **told}
    assert told == content


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_hostile_contact(fleet: Fleet, engine: str) -> None:
    """Garbage, forged codes, a flood, huge and tricky names, a page that claims to be a picture: told, and no more."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        stage = await on_stage(program, whatsapp, engine)
        before = fleet.reload()["pids"]
        for raw in (
            b"",
            b"\x00",
            os.urandom(500),
            b"\xff" * 3000,
            b"\x0a\xff\xff\xff\xff\x0f",
            _nested(2000),
        ):
            await whatsapp.post(
                f"/api/contacts/{CONTACT}/send",
                to=stage.number,
                type="raw",
                raw_base64=base64.b64encode(raw).decode() or "AA==",
            )
        await _forged(stage)
        await _large(stage)
        await _disguised(stage)
        answer = await whatsapp.post(
            f"/api/contacts/{CONTACT}/send", to=stage.number, text="enchente", count=1000
        )
        ids = set(answer["ids"])

        def all_told() -> bool:
            return ids <= {e["data"]["id"] for e in program.of("message", stage.session)}

        await wait_until(all_told, 240, interval=0.2, message="the flood is told")
        told = [e["data"]["id"] for e in program.of("message", stage.session) if e["data"]["id"] in ids]
        assert len(told) == len(ids), "each once"
        await stage.sent("text", {"body": "ainda aqui"})
        assert fleet.reload()["pids"] == before, "nothing was restarted"
        assert program.session_status(stage.session) in (None, "WORKING")


def _nested(depth: int) -> bytes:
    """A message within a message, so many times: field 31 of `Message` (ephemeralMessage) holds field 1."""
    body = b"\x0a\x01x"
    for _ in range(depth):
        for tag in (b"\x0a", b"\xc2\x02"):
            body = tag + _varint(len(body)) + body
    return body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


async def _forged(stage: Stage) -> None:
    await stage.whatsapp.post("/api/faults", kind="bad_mac", account=stage.number, count=1)
    data = await stage.said(text="por fim")
    assert data["text"]["body"] == "por fim"
    await stage.heard("alert", kind="undecryptable", message_id=data["id"])


async def _large(stage: Stage) -> None:
    huge, tricky = "x" * 1_000_000, "foto\u202egpj.exe\u200b\u2066"
    card = {"displayName": tricky, "vcard": f"BEGIN:VCARD\nFN:{'a;' * 200_000}\n{'N:' * 100_000}\nEND:VCARD"}
    assert (await stage.said(type="message", message={"contactMessage": card}))["contacts"]
    options = [{"optionName": f"{at}"} for at in range(5000)]
    poll = {"name": tricky, "options": options}
    assert (
        len((await stage.said(type="message", message={"pollCreationMessageV3": poll}))["poll"]["options"])
        == 5000
    )
    place = {"degreesLatitude": 1e308, "degreesLongitude": "NaN", "name": tricky}
    data = await stage.said(type="message", message={"locationMessage": place})
    assert data["type"] in ("location", "unsupported")
    event = {"name": tricky, "startTime": "9007199254740991000"}
    assert (await stage.said(type="message", message={"eventMessage": event}))["type"] == "unsupported"
    document = {
        "fileName": tricky,
        "mimetype": "image/png; " + "a" * 5000,
        "fileLength": "18446744073709551615",
    }
    data = await stage.said(type="message", message={"documentMessage": document})
    assert data["document"]["filename"] == tricky
    sent = await stage.whatsapp.post(
        f"/api/contacts/{CONTACT}/send", to=stage.number, type="document", media_base64="AAAA", filename=huge
    )
    await _heard_of(stage, sent["ids"][0])


async def _heard_of(stage: Stage, message_id: str) -> None:
    """A message too large for an event is not lost without a word."""

    def found() -> bool:
        messages = {e["data"]["id"] for e in stage.program.of("message", stage.session)}
        alerts = {e["data"].get("message_id") for e in stage.program.of("alert", stage.session)}
        return message_id in messages | alerts

    await wait_until(found, 90, message="what is too large is told of")


async def _disguised(stage: Stage) -> None:
    page = b"<html><script>alert(1)</script></html>"
    data = await stage.said(type="image", media_base64=b64(page), mime_type="image/jpeg")
    assert data["type"] == "image"

    def stored() -> list[dict[str, Any]]:
        told = [e["data"] for e in stage.program.of("media", stage.session)]
        return [entry for entry in told if entry["message_id"] == data["id"]]

    (entry,) = await wait_until(stored, 90, message="the file is told of")
    assert (entry["error"], entry["media"]["mime_type"]) == (None, "application/octet-stream")
