"""What was set aside: listed, shown, put back once, dropped on record."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import deadletters, event_data, events, ids, streams
from pywhatsweb.contracts.deadletters import Letter
from pywhatsweb.contracts.ids import EventId
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import deadletters as setting_aside
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import Tenant, platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    async with platform(nats_server.url, "acme", "beta") as (_, [acme, beta]):
        await acme.wish("s1")
        await beta.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            yield User(acme)


def failed(name: str, **fields: Any) -> Letter:
    """As a worker sets a command aside whose last try failed."""
    known = {
        "id": EventId(f"letter-{name}"),
        "kind": deadletters.COMMAND,
        "session": "s1",
        "code": "E_WHATSAPP_RATE_LIMITED",
        "subject": "wa.cmd.acme.s1.send",
        "sequence": 7,
        "at": time.time_ns() // 1_000_000,
        "attempts": 3,
        "command_id": name,
    }
    return Letter(**{**known, **fields})


async def set_aside(tenant: Tenant, letter: Letter, body: Any) -> None:
    data = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
    publication = setting_aside.letter(tenant.name, letter, data)
    headers = {**publication.headers}
    del headers["Nats-Msg-Id"]  # beyond the dedupe window
    answer = await tenant.bus.request(publication.subject, data, headers=headers)
    assert b'"error"' not in answer.data, answer.data


async def listed(user: User, **filters: Any) -> list[dict[str, Any]]:
    reply = await user.ask("deadletter.list", **filters)
    assert reply["ok"], reply
    found: list[dict[str, Any]] = reply["data"]["deadletters"]
    return found


async def test_garbage_is_told_shown_put_back_and_dropped(user: User, tmp_path: Path) -> None:
    """Put back, what nobody can read is set aside anew; dropped, it is gone, and the audit trail says so."""
    await user.publish(b"\xff\x00garbage", headers={"Nats-Msg-Id": "bad"})
    assert await user.refused("bad") == "E_MALFORMED_BODY"
    await wait_until(lambda: len(user.tenant.of("deadletter")) == 1, 5)
    (told,) = user.tenant.of("deadletter")
    (letter,) = await listed(user)
    assert letter["id"] == told["data"]["id"]
    assert (letter["code"], letter["command_id"], letter["kind"]) == ("E_MALFORMED_BODY", "bad", "command")
    shown = (await user.ask("deadletter.show", id=letter["id"]))["data"]
    assert (shown["body"], shown["raw"], shown["retryable"]) == (None, "/wBnYXJiYWdl", False)
    again = await user.ask("deadletter.redrive", id=letter["id"])
    assert again["data"]["count"] == 1
    await user.refused(again["data"]["letters"][0]["command_id"])
    await wait_until(lambda: len(user.tenant.of("deadletter")) == 2, 5)
    (second,) = await listed(user)
    assert second["id"] != letter["id"]
    dropped = await user.ask("deadletter.drop", id=second["id"], by="ana", reason="noise")
    assert dropped["data"]["count"] == 1
    assert await listed(user) == []
    gone = await user.ask("deadletter.show", id=second["id"])
    assert gone["error"]["code"] == "E_DEADLETTER_NOT_FOUND"
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    entries = [found.entry for found in await store.read(audit.page, "acme")]
    await store.close()
    assert [(e.action, e.actor, e.target) for e in entries] == [
        ("deadletter.drop", "ana", second["id"]),
        ("deadletter.redrive", "api", letter["id"]),
    ]
    assert json.loads(entries[0].detail) == {"letters": [[second["id"], "E_MALFORMED_BODY"]]}


async def test_a_command_put_back_twice_is_sent_once(user: User) -> None:
    """Under an id of its own that names the old one; a letter that a crash left behind makes no second send."""
    letter = failed("order-1")
    body = text(id="order-1", send_at="2020-01-01T00:00:00Z", of_a_later_version={"kept": True})
    await set_aside(user.tenant, letter, body)
    first = (await user.ask("deadletter.redrive", id=letter.id))["data"]["letters"][0]
    (accepted,) = await user.told(first["command_id"], "accepted")
    assert accepted["causation_id"] == "order-1"
    (queued,) = await user.outbox()
    sent = msgspec.msgpack.decode(queued.data)
    assert (sent["id"], sent["of_a_later_version"]) == (first["command_id"], {"kept": True})
    assert "send_at" not in sent
    assert await listed(user) == []
    # As after a kill -9 between the publication and the removal, and a repeat beyond JetStream's window.
    await set_aside(user.tenant, letter, body)
    await user.tenant.bus.purge(streams.commands_name(user.tenant.name), "wa.cmd.acme.>")
    second = (await user.ask("deadletter.redrive", all=True))["data"]
    assert [each["command_id"] for each in second["letters"]] == [first["command_id"]]
    await user.publish(text(id="after"))
    await user.told("after", "accepted")
    names = [stored.headers["Pww-Command-Id"] for stored in await user.outbox()]
    assert names == [first["command_id"], "after"]
    assert await listed(user) == []


async def test_what_is_refused_when_it_is_put_back_is_not_lost(user: User) -> None:
    """A session that was stopped meanwhile: rejected, and set aside again with that reason."""
    await user.tenant.wish("s1", wanted="stopped")
    await set_aside(user.tenant, failed("order-2"), text(id="order-2"))
    first = (await user.ask("deadletter.redrive", all=True))["data"]["letters"][0]
    assert await user.refused(first["command_id"]) == "E_SESSION_STOPPED"
    await wait_until(lambda: len(user.tenant.of("deadletter")) == 1, 5)
    (letter,) = await listed(user)
    assert (letter["code"], letter["command_id"]) == ("E_SESSION_STOPPED", first["command_id"])
    await user.tenant.wish("s1", wanted="running")
    second = (await user.ask("deadletter.redrive", all=True))["data"]["letters"][0]
    await user.told(second["command_id"], "accepted")
    assert await listed(user) == []


async def test_an_event_put_back_comes_again_under_its_id(user: User) -> None:
    """Its readers try again; whoever took it knows it by its id."""
    tenant = user.tenant
    event = events.AlertEvent(
        id=ids.new_event_id(),
        tenant_id="acme",
        session_id="s1",
        timestamp=events.timestamp(),
        data=event_data.Alert(kind="test"),
    )
    publications = setting_aside.of_event(
        tenant.name,
        tenant.record,
        reader="persistence",
        subject="wa.evt.acme.s1.alert.-",
        sequence=5,
        body=msgspec.msgpack.encode(event),
        code="E_POISON",
        reason="DataError",
    )
    for publication in publications:
        await tenant.bus.request(publication.subject, publication.body, headers=publication.headers)
    (letter,) = await listed(user, kind="event", code="E_POISON")
    assert (letter["reader"], letter["reason"]) == ("persistence", "DataError")
    shown = (await user.ask("deadletter.show", id=letter["id"]))["data"]
    assert shown["body"]["id"] == event.id
    assert (await user.ask("deadletter.redrive", id=letter["id"]))["data"]["count"] == 1
    await wait_until(lambda: len(tenant.of("alert")) == 1, 5)
    assert tenant.of("alert")[0]["id"] == event.id
    stored = await tenant.bus.last(streams.events_name(tenant.name), "wa.evt.acme.s1.alert.-")
    assert stored is not None
    assert stored.headers["ce-id"] == event.id


async def test_pages_filters_and_the_border(user: User) -> None:
    """Each letter once through all pages; nothing of another tenant's; bad cursors have their code."""
    tenant = user.tenant
    for number in range(25):
        session, code = ("s1", "s2")[number % 2], ("E_POISON", "E_TIMEOUT")[number % 5 == 0]
        letter = failed(f"c{number}", session=session, code=code)
        await set_aside(tenant, letter, text(id=f"c{number}"))
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = (await user.ask("deadletter.list", limit=4, **({"cursor": cursor} if cursor else {})))["data"]
        found += [each["command_id"] for each in page["deadletters"]]
        if (cursor := page["cursor"]) is None:
            break
    assert found == [f"c{number}" for number in range(25)]
    assert (page["total"], page["max_bytes"]) == (25, tenant.record.limits.deadletter_bytes)
    only = await listed(user, session_id="s2", code="E_TIMEOUT", kind="command")
    assert [each["command_id"] for each in only] == ["c5", "c15"]
    assert await listed(user, kind="event") == []
    for cursor in ("x", "1", "-", "1-x", "\uff19-\uff19", "1" * 50):
        reply = await user.ask("deadletter.list", cursor=cursor)
        assert reply["error"]["code"] == "E_INVALID_CURSOR", cursor
    beta = await tenant.bus.request("wa.ctl.beta.deadletter.list", b"{}")
    assert json.loads(beta.data)["data"]["deadletters"] == []
    shown = await tenant.bus.request("wa.ctl.beta.deadletter.drop", b'{"id": "letter-c0"}')
    assert json.loads(shown.data)["error"]["code"] == "E_DEADLETTER_NOT_FOUND"
    for filters in ({"session_id": "s2"}, {"kind": "event"}, {"code": "E_POISON"}):
        reply = await user.ask("deadletter.drop", id="letter-c0", **filters)
        assert reply["error"]["code"] == "E_DEADLETTER_NOT_FOUND", filters
    for bad in ({}, {"all": True, "id": "l"}):
        assert (await user.ask("deadletter.drop", **bad))["error"]["code"] == "E_MISSING_FIELD"
    assert (await user.ask("deadletter.show", id="*"))["error"]["code"] == "E_INVALID_FIELD"
    dropped, cursor = 0, "1-1000"
    while cursor:
        done = (await user.ask("deadletter.drop", all=True, session_id="s1", limit=5, cursor=cursor))["data"]
        dropped, cursor = dropped + done["count"], done["cursor"]
    assert dropped == 13
    assert len(await listed(user)) == 12


async def test_a_full_store_drops_its_oldest_and_holds_nobody_up(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Poison beyond its limit costs the oldest poison, and good commands go on."""
    limits = streams.TenantLimits(deadletter_bytes=64 * 1024)
    async with platform(nats_server.url, "acme", limits=limits) as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            for number in range(20):
                garbage = b"\xff" + bytes(8000)
                await user.publish(garbage, headers={"Nats-Msg-Id": f"bad-{number}"})
            await user.publish(text(id="good"))
            await user.told("good", "accepted", timeout=20)
            reply = (await user.ask("deadletter.list", limit=100))["data"]
            names = [each["command_id"] for each in reply["deadletters"]]
            assert names[-1] == "bad-19"
            assert names == [f"bad-{number}" for number in range(20 - len(names), 20)]
            assert 0 < len(names) < 20
            assert reply["bytes"] <= reply["max_bytes"] == 64 * 1024
