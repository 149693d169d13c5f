"""What an engine cannot do is refused before it is queued, by what the live workers declare."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pywhatsweb.contracts import streams
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    async with (
        platform(nats_server.url, "acme") as (_, [tenant]),
        dispatcher(nats_server.url, tmp_path),
    ):
        yield User(tenant)


async def declare(user: User, worker: str, *names: str) -> None:
    """A worker's record, as it renews it."""
    record = registry.WorkerRecord(
        engines=["simulated"], capabilities={"simulated": list(names)}, versions={"simulated": "1.2"}
    )
    await Bucket(user.tenant.bus, streams.WORKERS_BUCKET).put(worker, registry.encode(record))


async def test_a_kind_that_the_engine_cannot_send_is_rejected_with_engine_and_kind(user: User) -> None:
    """What it can goes on; a worker that comes with a newer engine is believed at once."""
    await user.ask("session.start", session_id="s1")
    silent = await user.ask("session.capabilities", session_id="s1")
    assert silent["error"]["code"] == "E_ENGINE_UNAVAILABLE"
    await declare(user, "w1", "text", "reply", "delete", "react", "profile.get")

    async def declared() -> bool:
        # Workers are asked once a second at most.
        return bool((await user.ask("session.capabilities", session_id="s1"))["ok"])

    await wait_until(declared, 15, interval=0.2, message="what the worker declares is known")
    await user.publish(text("fine", id="fine"))
    await user.told("fine", "accepted")
    asking = {"name": "ask", "language": "en", "body": "Yes?", "buttons": [{"type": "reply", "text": "Yes"}]}
    assert (await user.ask("template.put", **asking))["ok"]
    named = {
        "type": "template",
        "template": {"name": "ask", "language": {"code": "en"}},
        "to": "+5511999990001",
    }
    pin = {"type": "location", "location": {"latitude": 1.0, "longitude": 2.0}, "to": "+5511999990001"}
    for name, body, verb, lacking in (
        ("place", pin, "send", "location"),
        ("asked", named, "send", "interactive.button"),
        ("posted", text("all", to="status"), "send", "status_post.text"),
        (
            "unposted",
            {"to": "120363041234567890@newsletter", "message_id": "A"},
            "delete",
            "channel_post.delete",
        ),
        ("look", {"to": "+5511999990001", "message_ids": ["A"]}, "read", "read"),
        (
            "gone",
            {"to": "+5511999990001", "message_id": "A", "for_everyone": False},
            "delete",
            "delete_for_me",
        ),
    ):
        await user.publish({**body, "id": name}, verb=verb)
        (told,) = await user.told(name, "rejected")
        assert told["data"]["error"]["code"] == "E_UNSUPPORTED_TYPE"
        assert told["data"]["error"]["details"] == {"engine": "simulated", "kind": lacking}
    assert len(await user.outbox()) == 1
    block = {"session_id": "s1", "to": "+5511999990001"}
    refused = (await user.ask("contact.block", **block))["error"]
    assert (refused["code"], refused["details"]) == (
        "E_UNSUPPORTED_TYPE",
        {"engine": "simulated", "kind": "contact.block"},
    )
    asked = await user.ask("session.capabilities", session_id="s1")
    assert asked["data"] == {
        "session_id": "s1",
        "engine": "simulated",
        "version": "1.2",
        "kinds": ["text"],
        "verbs": ["delete", "react"],
        "features": ["reply"],
        "live": ["profile.get"],
        "posts": [],
    }
    await declare(user, "w2", "location")
    tries = itertools.count()

    async def taken() -> bool:
        name = f"again-{next(tries)}"
        await user.publish({**pin, "id": name})
        return bool(await wait_until(lambda: user.tenant.statuses(name))) and user.tenant.statuses(name) == [
            "accepted"
        ]

    await wait_until(taken, 15, interval=0.2, message="the newer worker's engine is believed")
    assert (await user.ask("session.capabilities", session_id="none"))["error"][
        "code"
    ] == "E_SESSION_NOT_FOUND"
