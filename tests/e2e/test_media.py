"""Files of every kind, out and in, on real Baileys against the sandbox: the bytes' hashes after decryption tell."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from pywhatsweb.client import FleetClient, connect
from pywhatsweb.errors import MessageError
from tests.support import wait_until
from tests.support.running import PWW, Fleet, Plain, Sandbox, new_number, pair, plain, sandbox

CONTACT = "+5511988880071"
MIB = 1024 * 1024


@asynccontextmanager
async def client(fleet: Fleet) -> AsyncIterator[FleetClient]:
    found = fleet.ready["tenants"]["demo"]
    async with connect(fleet.ready["nats_url"], user=found["user"], password=found["password"]) as opened:
        yield opened


def picture(form: str, size: tuple[int, int] = (640, 480)) -> bytes:
    """A photograph's worth of noise."""
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, form)
    return out.getvalue()


def sound(directory: Path, name: str, *options: str) -> Path:
    """Two seconds of a tone, by ffmpeg."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    path = directory / name
    subprocess.run(
        [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", "sine=d=2", *options, str(path)], check=True
    )
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def received(whatsapp: Sandbox, number: str, sha: str) -> list[dict[str, Any]]:
    """What contacts opened with these bytes."""
    return [
        entry for entry in await whatsapp.decrypted(number) if (entry.get("media") or {}).get("sha256") == sha
    ]


async def test_every_kind_goes_out_and_is_opened_with_the_same_bytes(fleet: Fleet, tmp_path: Path) -> None:
    """Inline, by id and from a file far above what a command carries; each message event names the stored file."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, client(fleet) as opened:
        await pair(program, whatsapp, "media-out", number)
        session = opened.session("media-out")
        inline, large = picture("JPEG"), picture("PNG", (1600, 1200))
        assert len(large) > 2 * MIB
        document = tmp_path / "contrato.bin"
        document.write_bytes(os.urandom(6 * MIB))
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(_mp4(900_000))
        stored = await opened.media.put(large, mime_type="image/png", kind="image")
        sent = {
            "inline": (await session.send_image(CONTACT, inline, caption="Olá"), sha256(inline)),
            "by id": (await session.send_image(CONTACT, stored.id), stored.sha256),
            "document": (
                await session.send_document(CONTACT, document, caption="assine"),
                sha256(document.read_bytes()),
            ),
            "video": (await session.send_video(CONTACT, clip), sha256(clip.read_bytes())),
            "sticker": (await session.send_sticker(CONTACT, picture("WEBP", (512, 512))), None),
        }
        for name, (handle, sha) in sent.items():
            await handle.outcome("delivered", timeout=60)
            told = await wait_until(partial(_told, program, handle.id), 20)
            media = told[0]["media"]
            assert sha in (None, media["sha256"]), name
            (entry,) = await wait_until(
                partial(received, whatsapp, number, media["sha256"]), 20, message=name
            )
            assert entry["media"]["size"] == media["size"], name
            again = b"".join([part async for part in opened.media.get(media["id"])])
            assert sha256(again) == media["sha256"], name
        shown = await opened.media.list(to=CONTACT)
        assert {entry.message_id for entry in shown.media} >= {
            e["data"]["id"] for e in program.of("message", "media-out")
        }


def _told(program: Plain, command: str) -> list[dict[str, Any]]:
    return [e["data"] for e in program.of("message", "media-out") if e["data"]["command_id"] == command]


async def test_sound_becomes_a_voice_message(fleet: Fleet, tmp_path: Path) -> None:
    """An MP3 is converted to Opus in Ogg; an Opus file goes as it is."""
    number = new_number()
    song = sound(tmp_path, "fala.mp3")
    opus = sound(tmp_path, "fala.ogg", "-c:a", "libopus")
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, client(fleet) as opened:
        await pair(program, whatsapp, "media-voice", number)
        session = opened.session("media-voice")
        for path in (song, opus):
            handle = await session.send_voice(CONTACT, path)
            await handle.outcome("delivered", timeout=60)
        seen = await wait_until(lambda: _voices(whatsapp, number), 20)
        assert [entry["media"]["mime_type"] for entry in seen] == ["audio/ogg; codecs=opus"] * 2
        assert seen[1]["media"]["sha256"] == sha256(opus.read_bytes())
        assert seen[0]["media"]["sha256"] != sha256(song.read_bytes())


async def _voices(whatsapp: Sandbox, number: str) -> list[dict[str, Any]]:
    found = [entry for entry in await whatsapp.decrypted(number) if entry.get("media")]
    return found if len(found) == 2 else []


async def test_what_comes_in_is_stored_and_told(fleet: Fleet) -> None:
    """A contact's file: the message, then `media` with its id; the record answers with it; its key is in no event."""
    number = new_number()
    photo = picture("JPEG")
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, client(fleet) as opened:
        await pair(program, whatsapp, "media-in", number)
        await whatsapp.post(
            f"/api/contacts/{CONTACT}/send",
            to=number,
            type="image",
            media_base64=base64.b64encode(photo).decode(),
            mime_type="image/jpeg",
            text="veja",
        )
        (message,) = await wait_until(lambda: program.of("message", "media-in"), 30)
        (stored,) = await wait_until(lambda: program.of("media", "media-in"), 30)
        assert "source" not in message["data"]["media"]
        assert stored["data"]["error"] is None
        assert stored["data"]["media"]["sha256"] == sha256(photo)
        assert stored["data"]["message_id"] == message["data"]["id"]
        parts = [part async for part in opened.media.get(stored["data"]["media"]["id"])]
        assert b"".join(parts) == photo
        entry = await opened.media.show(session_id="media-in", message_id=message["data"]["id"])
        assert entry.id == stored["data"]["media"]["id"]


async def test_a_file_that_whatsapp_has_no_longer(fleet: Fleet) -> None:
    """The phone that sent it is asked to upload it again; when it has none either, `media` tells so."""
    number = new_number()
    photo = picture("JPEG", (320, 200))
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, client(fleet):
        await pair(program, whatsapp, "media-lost", number)
        for message_id, lost in (("LOST0001", True), ("LOST0002", "for good")):
            await whatsapp.post(
                f"/api/contacts/{CONTACT}/send",
                to=number,
                id=message_id,
                type="image",
                media_base64=base64.b64encode(photo).decode(),
                media_lost=lost,
            )
        await wait_until(lambda: len(program.of("media", "media-lost")) == 2, 60)
        told = {event["data"]["message_id"]: event["data"] for event in program.of("media", "media-lost")}
        assert told["LOST0001"]["error"] is None
        assert told["LOST0001"]["media"]["sha256"] == sha256(photo)
        assert told["LOST0002"]["error"]["code"] == "E_MEDIA_EXPIRED"
        assert told["LOST0002"]["media"]["id"] is None


async def test_bad_files_end_with_their_code(fleet: Fleet) -> None:
    """At the engine's door too: nothing reaches WhatsApp."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, client(fleet) as opened:
        await pair(program, whatsapp, "media-bad", number)
        session = opened.session("media-bad")
        bomb = io.BytesIO()
        Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
        for code, sending in (
            ("E_MEDIA_TYPE_MISMATCH", session.send_image(CONTACT, b"not at all", mime_type="image/jpeg")),
            ("E_MEDIA_TYPE_UNSUPPORTED", session.send_video(CONTACT, picture("JPEG", (64, 64)))),
            ("E_MEDIA_CORRUPT", session.send_image(CONTACT, picture("JPEG")[:-3000])),
            ("E_MEDIA_BOMB", session.send_image(CONTACT, bomb.getvalue())),
            ("E_MEDIA_NOT_FOUND", session.send_image(CONTACT, "med_000000000000000000000000")),
            ("E_MEDIA_LINK_REFUSED", session.send_image(CONTACT, "https://127.0.0.1/a.jpg")),
            ("E_MEDIA_LINK_REFUSED", session.send_image(CONTACT, "https://localhost/a.jpg")),
        ):
            handle = await sending
            with pytest.raises(MessageError) as ended:
                await handle.outcome("sent", timeout=60)
            assert ended.value.code.wire == code
        assert await whatsapp.decrypted(number) == []


def _mp4(size: int) -> bytes:
    """A movie's frame without pictures: what a player would not play, and a courier carries."""
    mvhd = bytes(12) + (1000).to_bytes(4, "big") + (5000).to_bytes(4, "big") + bytes(80)
    header = (len(mvhd) + 8).to_bytes(4, "big") + b"mvhd" + mvhd
    moov = (len(header) + 8).to_bytes(4, "big") + b"moov" + header
    data = os.urandom(size)
    mdat = (size + 8).to_bytes(4, "big") + b"mdat" + data
    return b"\0\0\0\x18ftypisom\0\0\x02\0isommp42" + moov + mdat


async def test_files_over_http_and_at_the_command_line(fleet: Fleet, tmp_path: Path) -> None:
    """Up through the gateway, down whole, by range and by `pww media`; refusals are problems of the catalogue."""
    key = fleet.ready["tenants"]["demo"]["api_key"]
    data = os.urandom(3 * MIB + 17)
    async with httpx.AsyncClient(
        base_url=fleet.ready["http_url"], headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as http:
        answer = await http.post(
            "/v1/media",
            content=data,
            params={"filename": "relatório.bin", "kind": "document", "sha256": sha256(data)},
        )
        assert answer.status_code == 201, answer.text
        media_id = answer.json()["id"]
        whole = await http.get(f"/v1/media/{media_id}")
        assert (whole.status_code, sha256(whole.content)) == (200, sha256(data))
        assert "relat%C3%B3rio.bin" in whole.headers["content-disposition"]
        for asked, start, end in (
            ("0-0", 0, 1),
            (f"{MIB}-", MIB, len(data)),
            ("-100", len(data) - 100, len(data)),
        ):
            part = await http.get(f"/v1/media/{media_id}", headers={"Range": f"bytes={asked}"})
            assert (part.status_code, part.content) == (206, data[start:end])
        beyond = await http.get(f"/v1/media/{media_id}", headers={"Range": f"bytes={len(data)}-"})
        assert beyond.status_code == 416
        same = await http.get(f"/v1/media/{media_id}", headers={"If-None-Match": whole.headers["etag"]})
        assert same.status_code == 304
        for body, params, code in (
            (b"", {}, "MEDIA_EMPTY"),
            (data, {"kind": "image"}, "MEDIA_TYPE_UNSUPPORTED"),
            (data, {"sha256": "0" * 64}, "MEDIA_CORRUPT"),
            (data, {"kind": "sticker"}, "MEDIA_TOO_LARGE"),
        ):
            refused = await http.post("/v1/media", content=body, params=params)
            assert refused.json()["code"] == f"E_{code}", refused.text
        assert (await http.get("/v1/media/med_nothing")).status_code == 404
    out = tmp_path / "out.bin"
    shown = pww(fleet, "media", "show", media_id)
    assert shown["sha256"] == sha256(data)
    pww(fleet, "media", "get", media_id, "--out", str(out))
    assert out.read_bytes() == data
    assert pww(fleet, "media", "put", str(out))["size"] == len(data)
    pww(fleet, "media", "delete", media_id)
    assert media_id not in pww_text(fleet, "media", "list")


def _command(fleet: Fleet, *arguments: str) -> list[str]:
    return [str(PWW), *arguments, "--format", "json", "--data-dir", str(fleet.directory / "data")]


def pww_text(fleet: Fleet, *arguments: str) -> str:
    """What the command prints."""
    return subprocess.run(_command(fleet, *arguments), capture_output=True, text=True, check=True).stdout


def pww(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    """What the command answers."""
    answer: dict[str, Any] = json.loads(pww_text(fleet, *arguments))
    return answer
