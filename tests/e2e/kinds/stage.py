"""What a case has at hand: a paired session of one engine, its contact's phone, and both sides' words."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from tests.support import wait_until
from tests.support.running import Plain, Sandbox, new_number, pair

CONTACT = "+5511988880091"
CHANGES = {"edit": "edit", "delete": "delete", "react": "reaction", "pin": "pin", "vote": "poll_vote"}
"""Verbs that change a message, and the events that tell it."""
_ids = itertools.count(1)


class Stage:
    """Of one case; the session is shared by the cases of its engine."""

    def __init__(self, program: Plain, whatsapp: Sandbox, engine: str, session: str, number: str) -> None:
        self.program = program
        self.whatsapp = whatsapp
        self.engine = engine
        self.session = session
        self.number = number

    async def ended(self, body: dict[str, Any], verb: str = "send", to: str = CONTACT) -> dict[str, Any]:
        """Publishes a command under a new id; its outcome."""
        name = f"{self.session}-{next(_ids)}"
        await self.program.publish(self.session, {"id": name, "to": to, **body}, verb=verb)
        return await self.program.outcome(name, 120)

    async def did(self, verb: str, **body: Any) -> dict[str, Any]:
        """Does it, and gives what the contact's phone decrypted."""
        told = await self.ended(body, verb)
        assert told["status"] in ("sent", "delivered", "read", "played"), told
        if verb in CHANGES:
            change = await self.told(told["message_id"], CHANGES[verb])
            assert (change["origin"], change["message_id"]) == ("outbound", body["message_id"])
        return await self.shown(told["message_id"])

    async def sent(self, kind: str, content: Any, **more: Any) -> dict[str, Any]:
        return await self.did("send", type=kind, **{kind: content}, **more)

    async def shown(self, message_id: str) -> dict[str, Any]:
        """The journal's entry of a message, once a contact has opened it (and its file)."""

        async def found() -> Any:
            page = await self.whatsapp.get("/api/journal", id=message_id, kind="message")
            return next(iter(page["entries"]), None)

        entry: Any = await wait_until(found, 90, interval=0.05, message=f"{message_id} is shown")
        return dict(entry)

    async def opened(self, kind: str, content: Any, **more: Any) -> dict[str, Any]:
        """As `sent`, of a file: with what the contact's phone found in it."""
        entry = await self.sent(kind, content, **more)
        return await self.shown_file(entry["id"])

    async def shown_file(self, message_id: str) -> dict[str, Any]:
        """As `shown`, once its file was opened."""

        async def done() -> Any:
            again = await self.shown(message_id)
            return again if again.get("media") else None

        again: Any = await wait_until(done, 90, interval=0.05)
        assert "error" not in again["media"], again["media"]
        return dict(again)

    async def said(self, event: str = "message", by: str = CONTACT, **body: Any) -> dict[str, Any]:
        """A contact sends; what the fleet tells of it."""
        answer = await self.whatsapp.post(f"/api/contacts/{by}/send", to=self.number, **body)
        return await self.told(answer["ids"][0], event)

    async def told(self, message_id: str, event: str = "message") -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [e["data"] for e in self.program.of(event, self.session) if e["data"]["id"] == message_id]

        told: list[dict[str, Any]] = await wait_until(found, 90, message=f"{event} of {message_id}")
        return told[0]

    async def heard(self, event: str, **fields: Any) -> None:
        """Waits for an event whose data has these fields."""

        def found() -> bool:
            told = [e["data"] for e in self.program.of(event, self.session)]
            return any(fields.items() <= data.items() for data in told)

        await wait_until(found, 90, message=f"{event} with {fields}")

    async def recorded(self, message_id: str, to: str = CONTACT, **fields: Any) -> None:
        """Waits until the record shows a message with these fields."""

        async def found() -> bool:
            page = await self.program.ask("chat.messages", to=to, session_id=self.session, limit=50)
            return page["ok"] and any(
                message["id"] == message_id and fields.items() <= message.items()
                for message in page["data"]["messages"]
            )

        await wait_until(found, 90, message=f"{message_id} with {fields} in the record")

    async def asked(self, verb: str, **body: Any) -> None:
        """A live verb about the contact."""
        await self.program.ok(verb, **({"session_id": self.session, "to": CONTACT} | body))

    async def state(self, kind: str, about: str) -> dict[str, Any]:
        """What the account's phone decrypted last of its own state: an index of this kind that names `about`."""

        async def found() -> Any:
            query = {"kind": "state", "account": self.number, "limit": 10_000}
            entries = (await self.whatsapp.get("/api/journal", **query))["entries"]
            fitting = [one for one in entries if one["type"] == kind and about in one["index"]]
            return fitting[-1] if fitting else None

        entry: Any = await wait_until(found, 90, interval=0.05, message=f"the phone reads {kind}")
        return dict(entry["action"])

    async def on_phone(self, collection: str, index: list[str], **action: Any) -> None:
        """The account's own phone changes its state."""
        body = {"collection": collection, "index": index, "action": action}
        await self.whatsapp.post(f"/api/phones/{self.number}/state", **body)

    async def past(self, contact: str, text: str, count: int) -> list[str]:
        """The account's phone has had these texts of a contact for long."""
        body = {"contact": contact, "text": text, "count": count}
        ids: list[str] = (await self.whatsapp.post(f"/api/phones/{self.number}/past", **body))["ids"]
        return ids

    async def stored(self, message_id: str) -> dict[str, Any]:
        """The file of a message that came, once the fleet has it."""

        def found() -> list[dict[str, Any]]:
            told = [e["data"] for e in self.program.of("media", self.session)]
            return [data for data in told if data["message_id"] == message_id]

        (data,) = await wait_until(found, 90, message=f"the file of {message_id}")
        assert data["error"] is None, data
        media: dict[str, Any] = data["media"]
        return media

    async def journaled(self, kind: str, **fields: Any) -> None:
        """Waits for an entry of the sandbox's journal about this account."""

        async def found() -> bool:
            query = {"kind": kind, "account": self.number, "limit": 10_000, "content": 0}
            entries = (await self.whatsapp.get("/api/journal", **query))["entries"]
            return any(fields.items() <= entry.items() for entry in entries)

        await wait_until(found, 90, interval=0.05, message=f"{kind} with {fields}")


async def on_stage(program: Plain, whatsapp: Sandbox, engine: str) -> Stage:
    """The engine's session, paired by whoever comes first."""
    session = f"kinds-{engine}"
    known = await program.ask("session.status", session_id=session)
    if known["ok"] and known["data"]["status"] == "WORKING":
        return Stage(program, whatsapp, engine, session, known["data"]["phone_number"])
    number = new_number()
    quick = {"per_minute": 6000, "burst": 1000, "jitter_ms": 0}
    await program.ok("session.start", session_id=session, engine=engine, settings={"pacing": quick})
    await pair(program, whatsapp, session, number)
    return Stage(program, whatsapp, engine, session, number)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
