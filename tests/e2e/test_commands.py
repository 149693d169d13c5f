"""What a publisher can do wrong, and the same id twice: each ends in a named outcome, and disturbs nobody else."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import nats
import pytest

from tests.e2e.test_terminal import pww
from tests.support import wait_until
from tests.support.running import Fleet, Plain, Sandbox, new_number, pair, plain, sandbox

CONTACT = "+5511988880002"


def ahead(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def text(command_id: str, **more: Any) -> dict[str, Any]:
    return {"id": command_id, "to": CONTACT, "type": "text", "text": {"body": "fine"}, **more}


async def working(program: Plain, whatsapp: Sandbox, session: str) -> str:
    """The session's number; it is paired when it is not yet."""
    found = await program.ask("session.status", session_id=session)
    if found["ok"] and found["data"]["status"] == "WORKING":
        return str(found["data"]["phone_number"])
    number = new_number()
    await pair(program, whatsapp, session, number)
    return number


BAD = {
    "unknown-type": (text("unknown-type", type="telepathy"), "E_UNSUPPORTED_TYPE"),
    "invalid-number": (text("invalid-number", to="+99912"), "E_INVALID_PHONE"),
    "empty-text": (text("empty-text", text={"body": ""}), "E_EMPTY_TEXT"),
    "long-text": (text("long-text", text={"body": "x" * 70_000}), "E_TEXT_TOO_LONG"),
    "wrong-type": (text("wrong-type", text={"body": 17}), "E_INVALID_FIELD"),
    "missing-field": ({"id": "missing-field", "type": "text", "text": {"body": "x"}}, "E_MISSING_FIELD"),
    "past-send-at": (text("past-send-at", send_at=ahead(hours=-2)), "E_SEND_AT_PAST"),
}


async def test_bad_input_has_its_code_and_disturbs_nothing(fleet: Fleet) -> None:
    """Every kind of bad command is rejected with its own code, between good ones that arrive."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = await working(program, whatsapp, "bad")
        for name, (body, _) in BAD.items():
            await program.publish("bad", body)
            await program.send("bad", f"good-after-{name}", CONTACT, f"after {name}")
        for name, (_, code) in BAD.items():
            data = await program.outcome(name)
            assert (data["status"], data["error"]["code"]) == ("rejected", code), name
            assert (await program.outcome(f"good-after-{name}"))["status"] == "sent"
        seen = [entry["text"] for entry in await whatsapp.decrypted(number)]
        assert seen == [f"after {name}" for name in BAD]


async def test_garbage_and_foreign_bytes(fleet: Fleet) -> None:
    """Bytes that are no command end as rejected with a code and lie in the tenant's dead letters."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await working(program, whatsapp, "bad")
        for number, raw in enumerate((b"\xc1garbage", b"{not json", b"", b"[]", b"\x81\xa2id\x01")):
            await program.publish("bad", raw, msg_id=f"garbage-{number}")
        for number in range(5):
            data = await program.outcome(f"garbage-{number}")
            assert data["status"] == "rejected"
            assert data["error"]["code"] in (
                "E_MALFORMED_BODY",
                "E_INVALID_FIELD",
                "E_MISSING_FIELD",
                "E_UNSUPPORTED_TYPE",
            )


async def test_a_body_of_2_megabytes(fleet: Fleet) -> None:
    """The dispatcher refuses it by its size, before it reads it; the id is the header's."""
    async with plain(fleet) as program:
        await program.publish("bad", text("huge", text={"body": "x" * 2_000_000}), msg_id="huge")
        data = await program.outcome("huge")
        assert (data["status"], data["error"]["code"]) == ("rejected", "E_BODY_TOO_LARGE")


async def test_sessions_that_cannot_send(fleet: Fleet) -> None:
    """An unknown session and a stopped one each have their code."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await program.publish("nobody", text("to-nobody"))
        assert (await program.outcome("to-nobody"))["error"]["code"] == "E_SESSION_NOT_FOUND"
        await working(program, whatsapp, "halted")
        await program.ok("session.stop", session_id="halted")
        await program.reached("halted", "STOPPED")
        await program.publish("halted", text("to-halted"))
        assert (await program.outcome("to-halted"))["error"]["code"] == "E_SESSION_STOPPED"


async def test_an_expired_command(fleet: Fleet) -> None:
    """A command whose time is over ends as expired and is not sent."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = await working(program, whatsapp, "bad")
        before = len(await whatsapp.decrypted(number))
        await program.publish("bad", text("late", expires_at=ahead(seconds=-5)))
        assert (await program.outcome("late"))["status"] == "expired"
        assert len(await whatsapp.decrypted(number)) == before


async def test_whoever_writes_pare_is_left_alone(fleet: Fleet) -> None:
    """Until they write again, and then they are answered; with marketing not before somebody records that they ask."""
    contact = "+5511988880077"
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = await working(program, whatsapp, "bad")

        async def refused(name: str, **more: Any) -> None:
            await program.publish("bad", text(name, to=contact, **more))
            data = await program.outcome(name)
            assert (data["status"], data["error"]["code"]) == ("rejected", "E_CONTACT_OPTED_OUT")

        async def write(words: str) -> None:
            await whatsapp.post(f"/api/contacts/{contact}/send", to=number, type="text", text=words)

        async def opted_out() -> Any:
            return (await program.ok("consent.get", to=contact))["opt_out"]

        async def on_record(words: str) -> bool:
            found = await program.ok("chat.messages", to=contact)
            return any((one.get("text") or {}).get("body") == words for one in found["messages"])

        await program.publish("bad", text("offer", to=contact, purpose="marketing"))
        assert (await program.outcome("offer"))["status"] == "sent"
        await write("Pare!")
        found = await wait_until(opted_out, 60, message="the word opts them out")
        assert (found["source"], found["word"], found["session_id"]) == ("word", "pare", "bad")
        await refused("no-answer")
        await refused("no-offer", purpose="marketing")
        # WhatsApp's times are whole seconds: what is to be newer is of another one.
        since = datetime.fromisoformat(found["at"])
        await wait_until(lambda: datetime.now(UTC) > since, 10)
        await write("E o meu pedido?")
        await wait_until(lambda: on_record("E o meu pedido?"), 60, message="the question is on record")
        await program.publish("bad", text("answer", to=contact))
        assert (await program.outcome("answer"))["status"] == "sent"
        await refused("still-no-offer", purpose="marketing")
        key = fleet.ready["tenants"]["demo"]["api_key"]
        async with httpx.AsyncClient(
            base_url=fleet.ready["http_url"], headers={"X-Api-Key": key}, timeout=60
        ) as http:
            answer = await http.post("/v1/contact/opt_in", json={"to": contact, "reason": "asked for it"})
            assert answer.status_code == 200, answer.text
        await program.publish("bad", text("another-offer", to=contact, purpose="marketing"))
        assert (await program.outcome("another-offer"))["status"] == "sent"


async def test_an_inbox_of_two_numbers(fleet: Fleet) -> None:
    """Made and sent to at the command line: each of two people gets a number of their own, and keeps it."""
    people = {"inbox-a": "+5511988880081", "inbox-b": "+5511988880082"}
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        numbers = {name: await working(program, whatsapp, name) for name in ("bad", "line-2")}
        told = await asyncio.to_thread(pww, fleet, "inbox", "set", "@line", *numbers, "--format", "json")
        assert json.loads(told)["sessions"] == [*numbers]
        where: dict[str, str] = {}
        for name, to in people.items():
            line = ("send", f"first of {name}", "--session", "@line", "--to", to, "--id", name)
            await asyncio.to_thread(pww, fleet, *line, "--purpose", "service", "--wait", "delivered")
            where[name] = (await program.ok("message.status", id=name, session_id="@line"))["session_id"]
        assert sorted(where.values()) == sorted(numbers)
        for name, to in people.items():
            await program.publish("@line", text(f"{name}-2", to=to, text={"body": f"second of {name}"}))
            assert (await program.outcome(f"{name}-2"))["inbox_id"] == "@line"
            seen = [entry["text"] for entry in await whatsapp.decrypted(numbers[where[name]])]
            assert [one for one in seen if one.endswith(f" of {name}")] == [
                f"first of {name}",
                f"second of {name}",
            ]
        shown = await asyncio.to_thread(pww, fleet, "inbox", "list")
        assert "bad 1, line-2 1" in shown
        await asyncio.to_thread(pww, fleet, "inbox", "delete", "@line")


async def test_another_tenants_commands_cannot_be_published(fleet: Fleet) -> None:
    """The broker itself keeps a tenant out of another's subjects."""
    async with plain(fleet) as demo, plain(fleet, "acme") as acme:
        with pytest.raises((nats.errors.NoRespondersError, nats.errors.TimeoutError)):
            await demo.client.request("wa.cmd.acme.s1.send", json.dumps(text("foreign")).encode(), timeout=1)
        with pytest.raises((nats.errors.NoRespondersError, nats.errors.TimeoutError)):
            await demo.client.request("wa.ctl.acme.session.list", b"{}", timeout=1)
        assert not [e for e in acme.of("status") if e["data"]["command_id"] == "foreign"]


async def test_the_same_id_twice(fleet: Fleet) -> None:
    """At once JetStream answers `duplicate`; after its window the second publisher learns the first one's outcome."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = await working(program, whatsapp, "bad")
        first = await program.send("bad", "twice", CONTACT, "only once")
        again = await program.send("bad", "twice", CONTACT, "only once")
        assert again.get("duplicate") is True
        assert again["seq"] == first["seq"]
        await wait_until(lambda: "read" in program.steps("twice"), 20)

        async def on_record() -> bool:
            known = await program.ok("message.status", id="twice", session_id="bad")
            return bool(known["status"]["status"] == "read")

        # The record, which a repeat is answered from, follows the events by a moment.
        await wait_until(on_record, 20, interval=0.1)
        # Without the header JetStream's dedupe does not see it: as after the window, the durable record does.
        await program.publish("bad", text("twice", text={"body": "only once"}))
        await wait_until(lambda: [e for e in program.of("status") if e["data"]["duplicate"]], 20)
        told = next(e["data"] for e in program.of("status") if e["data"]["duplicate"])
        assert told["command_id"] == "twice"
        assert told["status"] in ("sent", "delivered", "read")
        seen = [entry for entry in await whatsapp.decrypted(number) if entry["text"] == "only once"]
        assert len(seen) == 1
        # Another message under a used id is a mistake that must not vanish.
        await program.publish("bad", text("twice", text={"body": "something else"}))
        await wait_until(
            lambda: [
                e for e in program.of("status") if (e["data"]["error"] or {}).get("code") == "E_DUPLICATE_ID"
            ],
            20,
        )


async def test_a_command_for_later(fleet: Fleet) -> None:
    """`send_at` waits in JetStream and then goes out; one that is cancelled before does not."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = await working(program, whatsapp, "bad")
        await program.send("bad", "later", CONTACT, "later", send_at=ahead(seconds=3))
        await program.send("bad", "never", CONTACT, "never", send_at=ahead(seconds=4))
        await program.publish("bad", {"id": "cancel-never", "command_id": "never"}, verb="cancel")
        assert (await program.outcome("never"))["status"] == "cancelled"
        assert (await program.outcome("later"))["status"] == "sent"
        await asyncio.sleep(3)  # beyond the cancelled one's time
        seen = [entry["text"] for entry in await whatsapp.decrypted(number)]
        assert seen.count("later") == 1
        assert "never" not in seen
