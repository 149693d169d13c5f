"""Handlers of 0.5's façade, and its translation of events."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pywhatsweb import WhatsWebManager
from pywhatsweb.contracts import codec, events
from pywhatsweb.legacy.alerts import Alerts
from pywhatsweb.legacy.background import Background
from pywhatsweb.legacy.handlers import Handlers
from pywhatsweb.legacy.translating import translate
from tests.support import wait_until


def event(kind: str, /, **data: Any) -> events.AnyEvent:
    fields = {"id": "e", "tenant_id": "t", "session_id": "s", "timestamp": events.timestamp()}
    found: events.AnyEvent = codec.decode(
        codec.encode({"event": kind, **fields, "data": data}), events.AnyEvent
    )
    return found


async def test_feeding_waits_for_room() -> None:
    """With a handler that hangs, no more than the queue holds is taken; once it goes on, everything is handled."""
    go = threading.Event()
    seen: list[int] = []
    handlers = Handlers("s", frozenset(("message",)), size=3)

    @handlers.on("message")
    def hang(data: dict[str, Any]) -> None:
        go.wait(10)
        seen.append(data["n"])

    async def feed() -> None:
        for n in range(10):
            await handlers.feed("message", {"n": n})

    feeding = asyncio.create_task(feed())
    await asyncio.sleep(0.1)
    assert not feeding.done()
    assert handlers.waiting <= 3
    go.set()
    await asyncio.wait_for(feeding, 5)
    await wait_until(lambda: len(seen) == 10)
    assert seen == list(range(10))
    await asyncio.to_thread(handlers.stop)


async def test_coroutine_handlers_and_unheard_events() -> None:
    """An async handler is run to its end; what nobody listens to costs nothing."""
    seen: list[str] = []
    handlers = Handlers("s", frozenset(("message", "qr")))

    @handlers.on("message")
    async def on_message(data: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        seen.append(data["body"])

    await handlers.feed("qr", {})
    assert handlers._thread is None
    await handlers.feed("message", {"body": "oi"})
    await wait_until(lambda: seen == ["oi"])
    await asyncio.to_thread(handlers.stop)
    with pytest.raises(ValueError, match="no event"):
        handlers.on("mesage")(on_message)


CHAT = {"key": "k", "pn": "+5511999990001"}
MESSAGE = {
    "id": "m",
    "chat": CHAT,
    "from": {"pn": "+5511999990001", "name": "Ana"},
    "type": "text",
    "text": {"body": "oi"},
    "sent_at": "2026-11-22T12:00:00.000Z",
}


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (event("session", status="WORKING", previous="SCAN_QR_CODE"), ["authenticated", "ready"]),
        (event("session", status="WORKING", previous="RECONNECTING"), ["ready"]),
        (event("session", status="RECONNECTING"), ["disconnected", "connecting"]),
        (event("session", status="LOGGED_OUT"), ["disconnected"]),
        (event("session", status="BANNED"), ["error", "disconnected"]),
        (event("session", status="SCAN_QR_CODE"), []),
        (event("message", **MESSAGE, origin="inbound"), ["message", "message_create"]),
        (event("message", **MESSAGE, origin="inbound", history=True), ["message_create"]),
        (event("message", **MESSAGE, origin="outbound", from_self=True), ["message_create"]),
        (event("status", command_id="c", status="unknown"), ["message_status"]),
        (event("call", id="c", **{"from": {}}, state="offer"), ["call"]),
    ],
)
def test_what_05_would_have_told(told: events.AnyEvent, names: list[str]) -> None:
    """Each event under 0.5's names; an old or an own message is never one to answer to."""
    assert [name for name, _ in translate(told)] == names


def test_a_group_is_answered_in_the_group() -> None:
    """`from` is what one answers to, `author` who wrote it."""
    fields = {**MESSAGE, "chat": {"key": "k", "group": "120363000000000000"}}
    (_, data), _ = translate(event("message", **fields, origin="inbound"))
    assert (data["from"], data["author"]) == ("120363000000000000@g.us", "+5511999990001")


def test_alerts_begin_once() -> None:
    """A condition that stands is told once, and again after it was over."""
    alerts = Alerts({"min_active_sessions": 1, "max_error_rate": 0.05})
    assert [a["type"] for a in alerts.by_time(0, 10, 1)] == ["few_active_sessions", "high_error_rate"]
    assert list(alerts.by_time(0, 10, 1)) == []
    assert list(alerts.by_time(1, 100, 1)) == []
    assert [a["type"] for a in alerts.by_time(0, 100, 1)] == ["few_active_sessions"]
    with pytest.raises(ValueError, match="max_sessions"):
        Alerts({"max_sessions": 1})


async def test_the_fleets_own_alerts_come_too() -> None:
    """Beginning and end; of what `setup_alerts` has a limit for, this program's own rule tells instead."""
    manager = WhatsWebManager(url="nats://127.0.0.1:1", user="demo", password="x")
    heard: list[dict[str, Any]] = []
    manager.on("alert", heard.append)
    session = manager.create_session("s")
    for kind in ("lag", "session_down"):
        await manager.watch(session, event("alert", kind=kind, details={"age_s": 90}))
    await wait_until(lambda: len(heard) == 2, 10)
    assert (heard[0]["type"], heard[0]["resolved"], heard[0]["details"]) == ("lag", False, {"age_s": 90})
    manager._alerts = Alerts({"max_error_rate": 0.1})
    for kind in ("session_down", "high_error_rate", "high_latency", "lag"):
        await manager.watch(session, event("alert", kind=kind, resolved=True))
    await wait_until(lambda: len(heard) == 4, 10)
    assert [(alert["type"], alert["resolved"]) for alert in heard[2:]] == [
        ("high_latency", True),
        ("lag", True),
    ]
    await asyncio.to_thread(manager._handlers.stop)


def test_the_background_loop_refuses_to_wait_for_itself() -> None:
    """A blocking call from inside would never end: it says so instead."""
    background = Background()

    async def inner() -> None:
        return None

    async def outer() -> None:
        background.run(inner())

    with pytest.raises(RuntimeError, match="async client"):
        background.run(outer(), 5)
    background.stop()
