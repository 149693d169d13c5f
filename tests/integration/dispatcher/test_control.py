"""The control plane, as a user sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import streams, subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    async with (
        platform(nats_server.url, "acme", sessions=3) as (_, [tenant]),
        dispatcher(nats_server.url, tmp_path),
    ):
        yield User(tenant)


async def record(user: User, session: str) -> registry.SessionRecord:
    entry = await Bucket(user.tenant.bus, streams.SESSIONS_BUCKET).get(f"acme.{session}")
    assert entry is not None
    assert entry.value is not None
    return registry.decode_session(entry.value)


async def say(user: User, session: str, **fields: Any) -> None:
    """Writes a session's present state, as its owner does."""
    subject = subjects.now_ingest(user.tenant.name, SessionId(session))
    body = registry.encode(registry.NowRecord(**fields))
    await user.tenant.bus.request(subject, body, headers={"Nats-Rollup": "sub"})


async def code_of(user: User, verb: str, /, **fields: Any) -> str:
    reply = await user.ask(verb, **fields)
    assert not reply["ok"], reply
    code: str = reply["error"]["code"]
    return code


async def test_a_session_from_start_to_deletion(user: User) -> None:
    """Each verb writes what is wanted; the generation goes up with each start and restart."""
    reply = await user.ask("session.start", session_id="s1", metadata={"team": "a"})
    assert reply["ok"], reply
    assert (reply["data"]["status"], reply["data"]["desired"]) == ("STARTING", "running")
    assert (await record(user, "s1")).generation == 1
    await user.ask("session.start", session_id="s1")
    assert (await record(user, "s1")).generation == 1, "it runs already"
    await user.ask("session.restart", session_id="s1")
    assert (await record(user, "s1")).generation == 2
    assert (await user.ask("session.stop", session_id="s1"))["data"]["desired"] == "stopped"
    assert (await record(user, "s1")).wanted == "stopped"
    await user.ask("session.start", session_id="s1")
    again = await record(user, "s1")
    assert (again.wanted, again.generation, again.metadata) == ("running", 3, {"team": "a"})
    await user.ask("session.logout", session_id="s1")
    assert (await record(user, "s1")).wanted == "logging_out"
    assert await code_of(user, "session.start", session_id="s1") == "E_CONFLICT"
    assert (await user.ask("session.delete", session_id="s1"))["ok"]
    assert (await record(user, "s1")).wanted == "deleting"


async def test_a_deleted_session_can_be_made_again(user: User) -> None:
    """The owner removes the record at the end; its mark is not in the way."""
    await user.ask("session.start", session_id="s1")
    await Bucket(user.tenant.bus, streams.SESSIONS_BUCKET).delete("acme.s1")
    assert await code_of(user, "session.status", session_id="s1") == "E_SESSION_NOT_FOUND"
    assert (await user.ask("session.start", session_id="s1"))["ok"]
    await user.publish(text(id="c1"))
    await user.told("c1", "accepted")


async def test_a_start_after_an_end_starts_anew(user: User) -> None:
    """A session that failed or was replaced runs again on session.start alone."""
    await user.ask("session.start", session_id="s1")
    await say(user, "s1", status="REPLACED", since=1, engine="simulated")
    await user.ask("session.start", session_id="s1")
    assert (await record(user, "s1")).generation == 2


async def test_pairing_by_code_needs_a_number(user: User) -> None:
    """National numbers are read in the tenant's region."""
    assert await code_of(user, "session.start", session_id="s1", pairing="code") == "E_MISSING_FIELD"
    refused = await code_of(user, "session.start", session_id="s1", pairing="code", phone_number="12")
    assert refused == "E_INVALID_PHONE"
    await user.ask("session.start", session_id="s1", pairing="code", phone_number="(11) 99999-0001")
    pairing = (await record(user, "s1")).pairing
    assert (pairing.method, pairing.phone_number) == ("code", "+5511999990001")


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("session.start", {"session_id": "Bad Name"}, "E_INVALID_FIELD"),
    ("session.start", {}, "E_MISSING_FIELD"),
    ("session.start", {"session_id": "s1", "engine": "webjs"}, "E_ENGINE_UNAVAILABLE"),
    ("session.start", {"session_id": "s1", "engine": "telepathy"}, "E_INVALID_FIELD"),
    ("session.start", {"session_id": "s1", "settings": {"pacing": {"burst": -1}}}, "E_INVALID_FIELD"),
    ("session.stop", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("session.restart", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("session.logout", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("session.delete", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("session.status", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("session.qr", {"session_id": "none"}, "E_SESSION_NOT_FOUND"),
    ("message.status", {"id": "none"}, "E_COMMAND_NOT_FOUND"),
]


async def test_bad_requests_have_their_code(nats_server: NatsServer, tmp_path: Path) -> None:
    """And nothing is made by them."""
    async with (
        platform(nats_server.url, "acme") as (bus, [tenant]),
        dispatcher(nats_server.url, tmp_path, engines="simulated,baileys"),
    ):
        user = User(tenant)
        found = [(verb, fields, await code_of(user, verb, **fields)) for verb, fields, _ in BAD]
        assert found == BAD
        answer = await bus.request("wa.ctl.acme.session.list", b"\xc1")
        assert msgspec.msgpack.decode(answer.data)["error"]["code"] == "E_MALFORMED_BODY"
        answer = await bus.request("wa.ctl.nobody.session.list", b"{}")
        assert json.loads(answer.data)["error"]["code"] == "E_TENANT_NOT_FOUND"
        assert (await user.ask("session.list"))["data"]["sessions"] == []


async def test_the_tenants_number_of_sessions_is_limited(user: User) -> None:
    """The fourth of three is refused; one that exists can start again."""
    for at in range(3):
        assert (await user.ask("session.start", session_id=f"s{at}"))["ok"]
    assert await code_of(user, "session.start", session_id="s3") == "E_SESSION_LIMIT"
    assert (await user.ask("session.start", session_id="s0"))["ok"]


async def test_status_and_list_show_the_present_state(user: User) -> None:
    """What the owner says, joined with what is wanted."""
    for session in ("s1", "s2"):
        await user.ask("session.start", session_id=session)
    await user.ask("session.stop", session_id="s2")
    await say(
        user,
        "s1",
        status="WORKING",
        since=1_700_000_000_000,
        worker="w1",
        epoch=7,
        phone_number="+5511999990001",
    )
    await user.publish(text(id="c1"))
    await user.told("c1", "accepted")
    status = (await user.ask("session.status", session_id="s1"))["data"]
    assert (status["status"], status["worker"], status["epoch"], status["queued"]) == ("WORKING", "w1", 7, 1)
    assert status["since"] == "2023-11-14T22:13:20.000Z"
    listed = (await user.ask("session.list"))["data"]["sessions"]
    assert [(info["session_id"], info["status"]) for info in listed] == [("s1", "WORKING"), ("s2", "STOPPED")]
    active = (await user.ask("session.list", active=True))["data"]["sessions"]
    assert [info["session_id"] for info in active] == ["s1"]
    health = (await user.ask("health.get"))["data"]
    assert (health["ok"], health["sessions"]) == (True, {"WORKING": 1})


async def test_a_qr_code_is_drawn(user: User) -> None:
    """Raw, as PNG and for the terminal, while it can be scanned."""
    await user.ask("session.start", session_id="s1")
    assert await code_of(user, "session.qr", session_id="s1") == "E_QR_NOT_AVAILABLE"
    later = registry.QrRecord(code="2@abc,def", expires_at=4_000_000_000_000, attempt=2)
    await say(user, "s1", status="SCAN_QR_CODE", qr=later)
    shown = (await user.ask("session.qr", session_id="s1"))["data"]
    assert (shown["code"], shown["attempt"]) == ("2@abc,def", 2)
    kind, _, image = shown["image"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert len(shown["terminal"].splitlines()) > 10
    await say(user, "s1", status="SCAN_QR_CODE", qr=registry.QrRecord(code="2@abc,def", expires_at=1))
    assert await code_of(user, "session.qr", session_id="s1") == "E_QR_NOT_AVAILABLE"


async def test_replies_come_in_the_form_of_the_request(user: User) -> None:
    """MessagePack for MessagePack, JSON for JSON and for nothing."""
    bus = user.tenant.bus
    for body in (b"", b"{}"):
        assert json.loads((await bus.request("wa.ctl.acme.session.list", body)).data)["ok"]
    answer = await bus.request("wa.ctl.acme.session.list", msgspec.msgpack.encode({}))
    assert msgspec.msgpack.decode(answer.data)["ok"]


async def test_many_starts_at_once_lose_nothing(user: User) -> None:
    """Compare-and-set with retries: 20 concurrent restarts are 20 generations."""
    await user.ask("session.start", session_id="s1")
    replies = await asyncio.gather(*(user.ask("session.restart", session_id="s1") for _ in range(20)))
    done = sum(reply["ok"] for reply in replies)
    assert {reply["error"]["code"] for reply in replies if not reply["ok"]} <= {"E_CONFLICT"}
    assert (await record(user, "s1")).generation == 1 + done
    assert done >= 10


async def test_message_status_tells_how_far_a_command_came(user: User) -> None:
    """Accepted with its WhatsApp id, rejected with its code."""
    await user.ask("session.start", session_id="s1")
    await user.publish(text(id="c1"))
    (event,) = await user.told("c1", "accepted")
    found = (await user.ask("message.status", id="c1"))["data"]
    assert (found["session_id"], found["status"]["status"]) == ("s1", "accepted")
    assert found["status"]["message_id"] == event["data"]["message_id"]
    await user.ask("session.stop", session_id="s1")
    await user.publish(text(id="c2"))
    await user.told("c2", "rejected")
    found = (await user.ask("message.status", id="c2", session_id="s1"))["data"]["status"]
    assert (found["status"], found["error"]["code"]) == ("rejected", "E_SESSION_STOPPED")


async def test_the_service_is_known_to_nats_micro(user: User) -> None:
    """`nats micro info pww-dispatcher` lists each verb."""
    answer = await user.tenant.bus.request("$SRV.INFO.pww-dispatcher")
    names = {endpoint["subject"] for endpoint in json.loads(answer.data)["endpoints"]}
    assert {"wa.ctl.*.session.start", "wa.ctl.*.health.get", "wa.ctl.*.message.status"} <= names


async def test_a_tenant_that_has_just_come_is_answered(user: User) -> None:
    """Its record is read when it is asked about, not at the next sweep."""
    bus = user.tenant.bus
    fresh = registry.TenantRecord(key=b"k" * 32)
    await Bucket(bus, streams.TENANTS_BUCKET).put("fresh", registry.encode(fresh))
    body = json.dumps({"session_id": "s1"}).encode()

    async def started() -> bool:
        return bool(json.loads((await bus.request("wa.ctl.fresh.session.start", body)).data)["ok"])

    await wait_until(started, 5, message="the tenant's session is started")


async def test_what_was_done_to_a_session_is_on_record(user: User, tmp_path: Path) -> None:
    """Who, from where and under which correlation id, as the asker tells; a question or a refusal is no act."""
    headers = {"Pww-Actor": "ana", "Pww-Address": "192.0.2.7", "X-Correlation-Id": "r1"}
    body = json.dumps({"session_id": "s1"}).encode()
    await user.tenant.bus.request("wa.ctl.acme.session.start", body, headers=headers)
    await user.ask("session.stop", session_id="s1")
    await user.ask("session.status", session_id="s1")
    await user.ask("session.stop", session_id="nobody")
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    entries = [found.entry for found in await store.read(audit.page, "acme")]
    await store.close()
    assert [(one.action, one.target, one.actor) for one in entries] == [
        ("session.stop", "s1", "tenant"), ("session.start", "s1", "ana"),
    ]  # fmt: skip
    assert (entries[1].address, entries[1].correlation_id) == ("192.0.2.7", "r1")
