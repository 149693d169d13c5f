"""The board through `pww up`: a customer's message, an attendant at the command line, and the card's history."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import nats

from pywhatsweb.contracts import codec, content, events, subjects
from pywhatsweb.contracts.event_data import Chat, Message, Person
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.statuses import Origin
from tests.support import wait_until
from tests.support.running import PWW, Fleet, Plain, plain

CHAT = Chat(key="0123456789abcdef", pn="+5511977770001")


def pww(fleet: Fleet, *arguments: str) -> Any:
    """Another terminal: the documents that it prints."""
    where = ("--data-dir", str(fleet.directory / "data"), "--format", "json")
    done = subprocess.run([PWW, "chat", *arguments, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def write(fleet: Fleet, number: int) -> None:
    """The customer's message, as a worker tells it."""
    data = Message(
        id=f"M{number}", chat=CHAT, from_=Person(pn=CHAT.pn, name="Rita"), origin=Origin.INBOUND, type="text",
        text=content.Text(body="oi"), sent_at=events.timestamp(),
    )  # fmt: skip
    event = events.MessageEvent(
        id=f"board-{number}", tenant_id="demo", session_id="s1", timestamp=events.timestamp(), data=data
    )
    subject = subjects.event_ingest(TenantId("demo"), SessionId("s1"), "message", ChatKey(CHAT.key))
    platform = fleet.ready["platform"]
    client = await nats.connect(fleet.ready["nats_url"], user=platform["user"], password=platform["password"])
    await client.request(subject, codec.encode(event), headers=events.headers(event), timeout=10)
    await client.close()


async def a_rule_says_good_bye(fleet: Fleet, program: Plain) -> None:
    """With a template, as a message of the session, which the board does not take for an answer."""
    await program.ok("session.start", session_id="s1")
    await program.reached("s1", "WORKING")
    await program.ok("template.put", name="tchau", language="pt_BR", body="Até logo, {{quem}}!")
    action = {
        "do": "send_template",
        "template": "tchau",
        "language": "pt_BR",
        "variables": {"quem": "{name}"},
    }
    rules = [{"id": "bye", "on": ["done"], "do": action}]
    await program.ok("policy.set", policy={"reply_starts": "anyone", "rules": rules})
    await asyncio.to_thread(pww, fleet, "done", CHAT.key, "--by", "ana")

    def said() -> list[Any]:
        return [one["data"] for one in program.of("message") if one["data"]["origin"] == "outbound"]

    (message,) = await wait_until(said, 30, message="the template is sent")
    assert message["text"]["body"] == "Até logo, Rita!"
    assert message["command_id"].startswith("pww-rule-")


async def test_a_chat_from_the_first_word_to_the_next(tmp_path: Path) -> None:
    """NEW by the customer, ACTIVE and DONE at the command line, NEW again by the customer, over a restart."""
    fleet = Fleet(tmp_path, "--engine", "simulated", "--no-sandbox", "--tenant", "demo")
    try:
        await asyncio.to_thread(fleet.start)
        assert len(fleet.ready["pids"]["kanban"]) == 1
        async with plain(fleet) as program:
            await write(fleet, 1)
            await wait_until(lambda: program.of("chat"), 20, message="the chat is opened")
            (card,) = await asyncio.to_thread(pww, fleet, "assign", CHAT.key, "ana", "--by", "chefe")
            assert (card["status"], card["owner_id"]) == ("active", "ana")
            await asyncio.to_thread(pww, fleet, "done", CHAT.key, "--by", "ana", "--reason", "resolvido")
        fleet.stop()
        await asyncio.to_thread(fleet.start)
        async with plain(fleet) as program:
            await write(fleet, 2)
            told = await wait_until(lambda: program.of("chat"), 20, message="the chat is opened again")
            assert (told[0]["data"]["status"], told[0]["data"]["reason"]) == ("new", "cliente_respondeu")

            async def listed() -> Any:
                found = await asyncio.to_thread(pww, fleet, "list", "--status", "new")
                return [one["chat"]["key"] for one in found] == [CHAT.key]

            await wait_until(listed, 20, interval=0.2, message="chat.list follows the board")
            await a_rule_says_good_bye(fleet, program)
        history = await asyncio.to_thread(pww, fleet, "history", CHAT.key)
        assert [one["change"] for one in history] == ["done", "reopened", "done", "assigned", "opened"]
    finally:
        fleet.stop()
