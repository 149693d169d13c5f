"""Stopping and starting everything, another WhatsApp, and what the logs say."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.support import wait_until
from tests.support.running import Fleet, new_number, pair, plain, sandbox

CONTACT = "+5511988880003"
WORDS = "strawberries-and-rhubarb"


async def test_everything_resumes(tmp_path: Path) -> None:
    """After a stop and a start of all: no QR, the queued command is sent, the waiting message arrives."""
    fleet = Fleet(tmp_path, env={"PWW_LOG_LEVEL": "debug", "PWW_LOG_FORMAT": "json"})
    number = new_number()
    try:
        fleet.start()
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            await pair(program, whatsapp, "s1", number)
            await program.send("s1", "before", CONTACT, f"before {WORDS}")
            await wait_until(lambda: "read" in program.steps("before"), 20)
            # Answered by a phone while nobody listens: it waits at WhatsApp.
            await whatsapp.post("/api/defaults", reply=None)
        fleet.stop()
        seconds = fleet.start()
        assert seconds < 30
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            status = await program.ok("session.status", session_id="s1")
            if status["status"] != "WORKING":
                await program.reached("s1", "WORKING")
            assert program.of("qr", "s1") == []
            await program.send("s1", "after", CONTACT, f"after {WORDS}")
            await wait_until(lambda: "read" in program.steps("after"), 20)
            await whatsapp.post(
                f"/api/contacts/{CONTACT}/send", to=number, type="text", text=f"reply {WORDS}"
            )
            await wait_until(
                lambda: [e for e in program.of("message", "s1") if not e["data"]["from_self"]], 20
            )
            seen = [entry["text"] for entry in await whatsapp.decrypted(number)]
            assert seen == [f"before {WORDS}", f"after {WORDS}"]
    finally:
        fleet.stop()
    for secret in (WORDS, number[1:], CONTACT[1:], *_secrets(fleet)):
        assert secret not in fleet.log, "a log tells what it must not"
    assert "privKey" not in fleet.log
    assert "rootKey" not in fleet.log


def _secrets(fleet: Fleet) -> list[str]:
    found = [fleet.ready["platform"]["password"]]
    found += [tenant["password"] for tenant in fleet.ready["tenants"].values()]
    return found


async def test_another_whatsapp_needs_its_key(fleet: Fleet, tmp_path: Path) -> None:
    """A server named by PWW_WHATSAPP_URL works with its root key, and is refused without it, with a clear error."""
    told = fleet.directory / "data" / "run" / "sandbox.json"
    import json

    server = json.loads(told.read_text())
    other = Fleet(tmp_path, "--no-sandbox", env={"PWW_WHATSAPP_URL": server["ws_url"]})
    try:
        other.start()
        async with plain(other) as program:
            await program.ok("session.start", session_id="s1")
            await program.reached("s1", "FAILED")
            error = program.of("session", "s1")[-1]["data"]["error"]
            assert error["code"] == "E_CERTIFICATE_REFUSED"
        worker = next(url for name, url in other.ready["health"].items() if name.startswith("session"))
        async with httpx.AsyncClient() as http:

            async def counted() -> bool:
                metrics = (await http.get(f"{worker}/metrics")).text
                return 'whatsapp_errors_total{code="E_CERTIFICATE_REFUSED"' in metrics

            await wait_until(counted, 30, message="an alert can see it")
    finally:
        other.stop()
    with_key = {"PWW_WHATSAPP_URL": server["ws_url"], "PWW_WHATSAPP_ROOT_KEY": server["root_key"]}
    other = Fleet(tmp_path / "with-key", "--no-sandbox", env=with_key)
    try:
        other.start()
        async with plain(other) as program, sandbox(fleet) as whatsapp:
            await pair(program, whatsapp, "s1", new_number())
    finally:
        other.stop()
