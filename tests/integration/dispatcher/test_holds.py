"""While WhatsApp limits a session's reaching out, nobody new is written to."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pywhatsweb.contracts import ids, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_runtime import registry
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import Tenant, platform

KNOWN, STRANGER = "+5511999990001", "+5511999990002"


async def tell(tenant: Tenant, cold_until: int, session: str = "s1") -> None:
    """As the session's owner does."""
    subject = subjects.now_ingest(tenant.name, SessionId(session))
    body = registry.encode(registry.NowRecord(status="WORKING", cold_until=cold_until))
    await tenant.bus.request(subject, body, headers={"Nats-Rollup": "sub"})


async def talk(tenant: Tenant, session: str, number: str) -> None:
    """A message of this chat is in the events stream."""
    chat = ids.chat_key(tenant.key, pn=number)
    subject = subjects.event_ingest(tenant.name, SessionId(session), "message", chat)
    await tenant.bus.request(subject, msgspec.msgpack.encode({"event": "message"}))


async def refusal(user: User, name: str) -> dict[str, Any]:
    (event,) = await user.told(name, "rejected")
    error: dict[str, Any] = event["data"]["error"]
    assert error["code"] == "E_WHATSAPP_REACHOUT_LIMITED"
    return error


async def test_only_known_chats_are_written_to_during_a_hold(nats_server: NatsServer, tmp_path: Path) -> None:
    """Strangers are refused before they are queued, with when to come again; all else passes; then all passes."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        user = User(tenant)
        for session in ("s1", "s2"):
            await tenant.wish(session)
        await talk(tenant, "s1", KNOWN)
        until = int(time.time() * 1000) + 3_600_000
        await tell(tenant, until)  # before the dispatcher runs: found by its sweep
        async with dispatcher(nats_server.url, tmp_path):
            names = iter(f"probe-{number}" for number in range(1000))

            async def is_held(session: str) -> bool:
                await user.publish(text(id=(name := next(names)), to=STRANGER), session)
                await wait_until(lambda: tenant.statuses(name) != [], 10)
                return tenant.statuses(name) == ["rejected"]

            async def until_held(session: str, wanted: bool) -> None:
                for _ in range(200):
                    if await is_held(session) is wanted:
                        return
                raise AssertionError(f"{session} is held: {not wanted}")

            await until_held("s1", True)
            later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
            await user.publish(text(id="stranger", to=STRANGER))
            await user.publish(text(id="known", to=KNOWN))
            await user.publish(text(id="group", to="120363000000000001@g.us"))
            await user.publish({"id": "read", "to": STRANGER, "message_ids": ["3EB0AA"]}, verb="read")
            await user.publish(text(id="afterwards", to=STRANGER, send_at=later))
            await user.publish(text(id="elsewhere", to=STRANGER), "s2")
            for name in ("known", "group", "read", "afterwards", "elsewhere"):
                await user.told(name, "accepted")
            details = (await refusal(user, "stranger"))["details"]
            assert details["held_until"] == until
            assert 0 < details["retry_after_ms"] <= 3_600_000
            queued = [stored.headers["Pww-Command-Id"] for stored in await user.outbox()]
            assert [name for name in queued if not name.startswith("probe")] == ["known", "group", "read"]
            await tell(tenant, until, "s2")
            await until_held("s2", True)
            await tell(tenant, 0)
            await until_held("s1", False)
            await user.publish(text(id="stranger", to=STRANGER))  # rejected before: the same id may try again
            await user.told("stranger", "rejected", "accepted")
