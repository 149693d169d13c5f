"""What a hostile contact sends: each is told, or told of, and harms nobody."""

from __future__ import annotations

import base64
import os
from typing import Any

from tests.e2e.kinds.stage import CONTACT, Stage, b64
from tests.support import wait_until


async def garbage(stage: Stage) -> None:
    """Bytes that are no message, and one within another too deep to be read."""
    for raw in (b"", b"\x00", os.urandom(500), b"\xff" * 3000, b"\x0a\xff\xff\xff\xff\x0f", _nested(2000)):
        await stage.whatsapp.post(
            f"/api/contacts/{CONTACT}/send",
            to=stage.number,
            type="raw",
            raw_base64=base64.b64encode(raw).decode() or "AA==",
        )


async def flood(stage: Stage, count: int) -> None:
    """So many messages at once: each is told once."""
    answer = await stage.whatsapp.post(
        f"/api/contacts/{CONTACT}/send", to=stage.number, text="enchente", count=count
    )
    ids = set(answer["ids"])

    def told() -> list[str]:
        return [e["data"]["id"] for e in stage.program.of("message", stage.session) if e["data"]["id"] in ids]

    await wait_until(lambda: ids <= set(told()), 240, interval=0.2, message="the flood is told")
    assert len(told()) == len(ids), "each once"


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


async def forged(stage: Stage) -> None:
    await stage.whatsapp.post("/api/faults", kind="bad_mac", account=stage.number, count=1)
    data = await stage.said(text="por fim")
    assert data["text"]["body"] == "por fim"
    await stage.heard("alert", kind="undecryptable", message_id=data["id"])


async def large(stage: Stage) -> None:
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


async def disguised(stage: Stage) -> None:
    page = b"<html><script>alert(1)</script></html>"
    data = await stage.said(type="image", media_base64=b64(page), mime_type="image/jpeg")
    assert data["type"] == "image"

    def stored() -> list[dict[str, Any]]:
        told = [e["data"] for e in stage.program.of("media", stage.session)]
        return [entry for entry in told if entry["message_id"] == data["id"]]

    (entry,) = await wait_until(stored, 90, message="the file is told of")
    assert (entry["error"], entry["media"]["mime_type"]) == (None, "application/octet-stream")
