"""A session's proxy, http and socks5, real ones: everything goes through it; when it fails, that is said."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import pytest

from tests.support import wait_until
from tests.support.proxies import proxy
from tests.support.running import Fleet, new_number, plain, sandbox

CONTACT = "+5511955550001"
FILE = b"%PDF-1.4 " + bytes(range(256)) * 40


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_everything_goes_through_the_proxy(fleet: Fleet, kind: str) -> None:
    """Link, upload and download; wrong credentials are RECONNECTING with E_PROXY_FAILED, and it comes back."""
    session, number = f"via-{kind}", new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp, proxy(kind) as between:
        await program.ok("session.start", session_id=session, proxy=between.url)
        await wait_until(lambda: program.of("qr", session), 30)
        await whatsapp.scan(number, program.of("qr", session)[-1]["data"]["code"])
        await program.reached(session, "WORKING")
        linked = set(between.led_to)
        assert len(linked) == 1
        data = base64.b64encode(FILE).decode()
        await program.publish(
            session,
            {"id": f"up-{kind}", "to": CONTACT, "type": "document",
             "document": {"data": data, "mime_type": "application/pdf", "filename": "a.pdf"}},
        )  # fmt: skip
        outcome = await program.outcome(f"up-{kind}", timeout=40)
        assert outcome["status"] == "sent", outcome
        (media,) = set(between.led_to) - linked
        uploads = between.led_to.count(media)
        await whatsapp.post(
            f"/api/contacts/{CONTACT}/send", to=number, type="document", media_base64=data,
            filename="b.pdf", mime_type="application/pdf",
        )  # fmt: skip
        await wait_until(lambda: program.of("media", session), 30, message="the file is fetched")
        assert program.of("media", session)[0]["data"]["error"] is None
        assert between.led_to.count(media) > uploads, "the download came through it too"
        assert urlsplit(between.url).port not in linked

        def trouble() -> str | None:
            told = program.of("session", session)[-1]["data"]
            return told["error"]["code"] if told["status"] == "RECONNECTING" and told["error"] else None

        between.refusing = True
        between.cut()
        await wait_until(lambda: trouble() == "E_PROXY_FAILED", 40)
        between.refusing = False
        await program.reached(session, "WORKING", timeout=60)
        await program.ok("session.stop", session_id=session)
