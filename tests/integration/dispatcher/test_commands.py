"""Commands through a running dispatcher, on a real broker and a real database."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from pywhatsweb.contracts import ids, queued, streams
from pywhatsweb.contracts.ids import CommandId, SessionId
from pywhatsweb_runtime import provision, registry
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, running_nats_server, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    """A user of the tenant acme, whose session s1 is to run."""
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            yield User(tenant)


def iso(seconds: float) -> str:
    """A time so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


async def test_a_text_goes_to_the_outbox(user: User) -> None:
    """The body as it came, the dispatcher's findings in headers, and `accepted` with the WhatsApp id."""
    body = text("Olá", id="c1", correlation_id="r1", new_field=1, metadata={"order": 7})
    assert "error" not in await user.publish(body)
    (event,) = await user.told("c1", "accepted")
    (waiting,) = await user.outbox()
    found = queued.from_headers(waiting.headers)
    key = user.tenant.key
    assert found.recipient == "pn:+5511999990001"
    assert found.digest == ids.command_digest(key, SessionId("s1"), CommandId("c1"))
    assert event["data"]["message_id"] == found.message_id
    assert event["data"]["metadata"] == {"order": 7}
    assert event["correlation_id"] == "r1"
    assert event["data"]["chat"]["key"] == ids.chat_key(key, pn="+5511999990001")
    assert b"new_field" in waiting.data


BAD: list[tuple[str, str, dict[str, Any] | bytes, str, str]] = [
    ("garbage", "s1", b"\xff\x00garbage", "send", "E_MALFORMED_BODY"),
    ("a wrong type", "s1", text(text={"body": [1]}), "send", "E_INVALID_FIELD"),
    ("an unknown type", "s1", {"to": "+5511999990001", "type": "fax"}, "send", "E_UNSUPPORTED_TYPE"),
    ("an unknown verb", "s1", text(), "fly", "E_UNKNOWN_VERB"),
    ("an unknown session", "nowhere", text(), "send", "E_SESSION_NOT_FOUND"),
    ("a stopped session", "stopped", text(), "send", "E_SESSION_STOPPED"),
    ("no session's name", "S1", text(), "send", "E_INVALID_SESSION_ID"),
    ("an invalid number", "s1", text(to="123"), "send", "E_INVALID_PHONE"),
    ("an empty text", "s1", text(""), "send", "E_EMPTY_TEXT"),
    ("a long text", "s1", text("x" * 70_000), "send", "E_TEXT_TOO_LONG"),
    ("a past send_at", "s1", text(send_at="2020-01-01T00:00:00Z"), "send", "E_SEND_AT_PAST"),
    ("a cancel of nothing", "s1", {"command_id": "none"}, "cancel", "E_COMMAND_NOT_FOUND"),
]


async def test_each_bad_input_has_its_own_code_and_disturbs_nothing(user: User) -> None:
    """Each is told once, as rejected; what could not be read is kept aside; good commands among them pass."""
    await user.tenant.wish("stopped", wanted="stopped")
    for at, (_, session, body, verb, _) in enumerate(BAD):
        await user.publish(body, session, verb, headers={"Nats-Msg-Id": f"bad-{at}"})
        await user.publish(text(id=f"good-{at}"))
    codes = {name: await user.refused(f"bad-{at}") for at, (name, *_) in enumerate(BAD)}
    assert codes == {name: code for name, _, _, _, code in BAD}
    for at in range(len(BAD)):
        await user.told(f"good-{at}", "accepted")
    assert len(await user.outbox()) == len(BAD)
    letter = await user.tenant.bus.last(
        streams.deadletters_name(user.tenant.name), "wa.dlq.acme.s1.command.*.*"
    )
    assert letter is not None
    assert (letter.data, letter.headers["Pww-Code"]) == (b"\xff\x00garbage", "E_MALFORMED_BODY")


async def test_an_expired_command_ends_as_expired(user: User) -> None:
    """`expires_at` in the past is no error of form: the outcome is expired."""
    await user.publish(text(id="late", expires_at=iso(-1)))
    assert await user.refused("late", status="expired") == "E_EXPIRED"


async def test_another_tenants_subject_is_not_taken_over(nats_server: NatsServer, tmp_path: Path) -> None:
    """The tenant is the subject's, and its sessions are its own."""
    async with platform(nats_server.url, "acme", "beta") as (_, [acme, beta]):
        await acme.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            await User(beta).publish(text(id="c1", tenant_id="acme"))
            assert await User(beta).refused("c1") == "E_SESSION_NOT_FOUND"
            assert await User(acme).outbox() == []


async def test_a_large_body_is_refused(tmp_path: Path) -> None:
    """2 MB through a broker that would carry it."""
    with running_nats_server(tmp_path / "nats", "max_payload: 8MB") as server:
        async with platform(server.url, "acme") as (_, [tenant]):
            await tenant.wish("s1")
            async with dispatcher(server.url, tmp_path):
                user = User(tenant)
                await user.publish(text("x" * 2_000_000), headers={"Nats-Msg-Id": "big"})
                assert await user.refused("big") == "E_BODY_TOO_LARGE"


async def test_the_same_id_at_once_is_one_command(user: User) -> None:
    """Under one Nats-Msg-Id JetStream itself says duplicate; under several, the second is told the first's outcome."""
    body = text(id="twice")
    assert not (await user.publish(body, headers={"Nats-Msg-Id": "twice"})).get("duplicate")
    assert (await user.publish(body, headers={"Nats-Msg-Id": "twice"})).get("duplicate")
    await user.told("twice", "accepted")
    await user.publish(body)
    _, second = await user.told("twice", "accepted", "accepted")
    assert second["data"]["duplicate"]
    assert second["data"]["message_id"]
    assert len(await user.outbox()) == 1


async def test_the_same_id_with_another_body_is_refused(user: User) -> None:
    """The first keeps the id."""
    await user.publish(text("one", id="c1"))
    await user.told("c1", "accepted")
    await user.publish(text("two", id="c1"))
    _, second = await user.told("c1", "accepted", "rejected")
    assert second["data"]["error"]["code"] == "E_DUPLICATE_ID"
    assert len(await user.outbox()) == 1


async def test_the_same_id_after_the_window_is_one_command(user: User) -> None:
    """What JetStream has forgotten, the record knows."""
    bus, window = user.tenant.bus, 200_000_000
    for name in (streams.commands_name(user.tenant.name), streams.outbox_name(user.tenant.name)):
        config = (await bus.api(f"STREAM.INFO.{name}"))["config"]
        await bus.api(f"STREAM.UPDATE.{name}", {**config, "duplicate_window": window})
    body = text(id="again")
    for _ in range(3):
        await wait_until(
            lambda: _published_afresh(user, body), 5, message="the window is over", interval=0.05
        )
    events = await user.told("again", "accepted", "accepted", "accepted")
    assert [event["data"]["duplicate"] for event in events] == [False, True, True]
    assert len(await user.outbox()) == 1


async def _published_afresh(user: User, body: dict[str, Any]) -> bool:
    return not (await user.publish(body, headers={"Nats-Msg-Id": "again"})).get("duplicate")


async def test_a_queue_is_full_at_its_limit(nats_server: NatsServer, tmp_path: Path) -> None:
    """Exactly the 1001st is refused; its id may be used again once there is room; other sessions go on."""
    async with platform(nats_server.url, "acme") as (bus, [tenant]):
        await tenant.wish("s1")
        await tenant.wish("s2")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            for at in range(1001):
                await bus.client.publish("wa.cmd.acme.s1.send", msgspec.msgpack.encode(text(id=f"c{at}")))
            assert await user.refused("c1000", timeout=20) == "E_QUEUE_FULL"
            assert len(tenant.of("status")) == 1001
            await user.publish(text(id="other"), "s2")
            await user.told("other", "accepted")
            await bus.purge(streams.outbox_name(tenant.name), "wa.out.acme.s1", below=2)
            await user.publish(text(id="c1000"))
            await user.told("c1000", "rejected", "accepted")


async def test_accepted_is_stored_before_the_command_can_be_sent(user: User) -> None:
    """Alone and in a burst: a worker that tells `sent` the moment it is woken does not get ahead."""
    order: list[tuple[str, str]] = []

    async def told(message: Msg) -> None:
        event = msgspec.msgpack.decode(message.data)
        order.append((event["data"]["command_id"], event["data"]["status"]))

    async def woken(message: Msg) -> None:
        name = (message.headers or {})["Pww-Command-Id"]
        body = {"data": {"command_id": name, "status": "sent"}}
        await client.publish("wai.evt.acme.s1.status.-", msgspec.msgpack.encode(body))

    client = user.tenant.bus.client
    await client.subscribe("wa.evt.acme.*.status.>", cb=told)
    await client.subscribe("wa.wake.acme.>", cb=woken)
    for at in range(20):
        await user.publish(text(id=f"alone{at}"))
    for at in range(600):
        await client.publish("wa.cmd.acme.s1.send", msgspec.msgpack.encode(text(id=f"c{at}")))
    await wait_until(lambda: len(order) == 2 * 620, 20)
    first: dict[str, str] = {}
    for name, status in order:
        first.setdefault(name, status)
    assert set(first.values()) == {"accepted"}


async def test_quotas_refuse_with_the_time_to_wait(nats_server: NatsServer, tmp_path: Path) -> None:
    """Two seconds' worth at once, then E_RATE_LIMITED; the id may be used again."""
    async with platform(nats_server.url, "acme", session_commands_per_second=2) as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            user = User(tenant)
            for at in range(5):
                await user.publish(text(id=f"c{at}"))
            assert await user.refused("c4") == "E_RATE_LIMITED"
            (event,) = [e for e in tenant.of("status") if e["data"]["command_id"] == "c4"]
            wait_ms = event["data"]["error"]["details"]["retry_after_ms"]
            assert 0 < wait_ms <= 501
            await asyncio.sleep(wait_ms / 1000)
            await user.publish(text(id="c4"))
            await user.told("c4", "rejected", "accepted")


async def test_a_suspended_tenant_is_refused(user: User) -> None:
    """At once when the record changes, and until it changes back."""
    bucket = Bucket(user.tenant.bus, streams.TENANTS_BUCKET)
    suspended = registry.TenantRecord(key=user.tenant.record.key, suspended=True)
    await bucket.put("acme", registry.encode(suspended))

    async def refused() -> bool:
        await user.publish(text())
        return any(
            (e["data"]["error"] or {}).get("code") == "E_TENANT_SUSPENDED" for e in user.tenant.of("status")
        )

    await wait_until(refused, 5, message="commands are refused", interval=0.05)


async def test_a_session_stopped_and_started_counts_at_once(user: User) -> None:
    """No command is decided by what a session was before the reply of session.stop."""
    for at in range(5):
        assert (await user.ask("session.stop", session_id="s1"))["ok"]
        await user.publish(text(id=f"no-{at}"))
        assert await user.refused(f"no-{at}") == "E_SESSION_STOPPED"
        assert (await user.ask("session.start", session_id="s1"))["ok"]
        await user.publish(text(id=f"yes-{at}"))
        await user.told(f"yes-{at}", "accepted")


async def test_what_is_done_is_purged(user: User) -> None:
    """The commands stream holds what waits, so that its limit speaks of that."""
    for _ in range(10):
        await user.publish(text())

    async def empty() -> bool:
        info = await user.tenant.bus.api("STREAM.INFO.WA_CMD_acme")
        return bool(info["state"]["messages"] == 0)

    await wait_until(empty, 5, message="the commands stream is empty")
    assert len(await user.outbox()) == 10


async def test_a_new_tenant_is_served_while_running(user: User, nats_server: NatsServer) -> None:
    """Its streams are made and its commands taken."""
    async with platform(nats_server.url, "late") as (_, [tenant]):
        await tenant.wish("s1")
        await User(tenant).publish(text(id="c1"))
        await User(tenant).told("c1", "accepted")


async def test_a_commands_stream_that_is_made_anew_is_served(user: User) -> None:
    """Its sequences begin at 1 again: they are not taken for what was done already."""
    for at in range(5):
        await user.publish(text(id=f"old-{at}"))
    await user.told("old-4", "accepted")
    await user.tenant.bus.api("STREAM.DELETE.WA_CMD_acme")
    await provision.ensure_tenant(user.tenant.bus, user.tenant.name, user.tenant.record.limits)
    await user.publish(text(id="new"))
    await user.told("new", "accepted", timeout=15)
