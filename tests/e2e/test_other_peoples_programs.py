"""Programs that were written for another gateway run here: only the address and the key are ours."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import wait_until
from tests.support.compose import free_port
from tests.support.running import Fleet, new_number, pair, plain, sandbox

PROGRAMS = Path(__file__).with_name("programs")
CUSTOMER = "+5511977770042"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Their webhooks listen on this machine."""
    env = {"PWW_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    running = Fleet(tmp_path_factory.mktemp("programs"), "--tenant", "demo", env=env)
    running.start()
    yield running
    running.stop()


class Program:
    """One that runs, and tells in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, name: str, *arguments: str) -> Program:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, PROGRAMS / name, *arguments, stdout=asyncio.subprocess.PIPE
            )
        )

    async def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 100)
        assert line, f"it ended with {await self._process.wait()}"
        found: dict[str, Any] = json.loads(line)
        return found

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@pytest.mark.timeout(240)
async def test_a_bot_written_for_waha(fleet: Fleet) -> None:
    """It links its session, is told what a customer says, and answers with all that WAHA can send."""
    key, number = fleet.ready["tenants"]["demo"]["api_key"], new_number()
    chat = f"{CUSTOMER[1:]}@c.us"
    bot = await Program.start("waha_bot.py", fleet.ready["http_url"], key, chat)
    try:
        async with sandbox(fleet) as whatsapp:
            await whatsapp.scan(number, (await bot.told())["qr"])
            await whatsapp.post("/api/contacts", number=CUSTOMER, name="Clara")

            async def say(words: str) -> None:
                await whatsapp.post(f"/api/contacts/{CUSTOMER}/send", to=number, type="text", text=words)

            await say("hello")

            async def answered() -> bool:
                # A text, a reaction, an image, a file, a voice, a place, a poll, a card, an edit, a deletion.
                return len(await whatsapp.decrypted(number)) >= 10

            await wait_until(answered, 90, message="everything that it sent has come")
            texts = [entry.get("text") for entry in await whatsapp.decrypted(number)]
            assert "You said: hello" in texts
            await say("bye")
            told = await bot.told()
            for name, kind in zip(told["statuses"], ("text", "image", "revoke"), strict=True):
                where, message_id = name.removeprefix("true_").split("_")
                page = await whatsapp.get("/api/journal", id=message_id, kind="message")
                shown = [(entry["contact"], entry["type"]) for entry in page["entries"]]
                assert (where, shown) == ("status@broadcast", [(CUSTOMER[1:], kind)])
    finally:
        await bot.end()
    assert told["channel"]["posted"].startswith("true_120363")
    assert (told["channel"]["same"], told["channel"]["role"]) == (True, "OWNER")
    assert (told["me"], told["contact"], told["said"]) == (f"{number[1:]}@c.us", chat, ["hello", "bye"])
    assert told["chats"] == [chat]
    assert told["newest"]
    assert set(told["sent"]) <= told["history"].keys()


@pytest.mark.timeout(240)
async def test_a_bot_written_for_the_cloud_api(fleet: Fleet) -> None:
    """It reads what a customer wrote, answers with all kinds, uploads and downloads, and follows each to delivered."""
    key, url = fleet.ready["tenants"]["demo"]["api_key"], fleet.ready["http_url"]
    port, number = free_port(), new_number()
    bot = await Program.start("cloud_bot.py", url, key, "shop", str(port))
    try:
        assert (await bot.told())["listening"]
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            await pair(program, whatsapp, "shop", number)
            hook = {"url": f"http://127.0.0.1:{port}/", "sessions": ["shop"], "format": "cloud"}
            await program.ok("webhook.create", **hook)
            await whatsapp.post("/api/contacts", number=CUSTOMER, name="Clara")
            await whatsapp.post(f"/api/contacts/{CUSTOMER}/send", to=number, type="text", text="is it there?")
            told = await bot.told()
            texts = [entry.get("text") for entry in await whatsapp.decrypted(number)]
    finally:
        await bot.end()
    assert "You said: is it there?" in texts
    read = {kind for kind, seen in told["seen"].items() if seen is not None and "delivered" in seen}
    assert read >= {"text", "image", "document", "location", "contacts"}
    # What an engine cannot send has failed, under the id that the bot was told.
    assert told["seen"]["interactive"][-1] in ("delivered", "read", "failed")
