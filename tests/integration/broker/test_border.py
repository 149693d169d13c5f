"""The border between tenants, kept by the broker: what a tenant can do, and everything that it cannot."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from pywhatsweb.contracts.streams import events_name
from pywhatsweb_runtime.bus import Bus
from tests.integration.broker.conftest import Broker
from tests.support import wait_until


async def answer(client: Client, subject: str, body: bytes = b"{}", **options: Any) -> Msg | None:
    """None: nobody there, or forbidden."""
    try:
        return await client.request(subject, body, timeout=0.5, **options)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        return None


async def ingest(platform: Bus, tenant: str, text: str) -> None:
    """An event as the fleet publishes it."""
    await platform.request(f"wai.evt.{tenant}.s1.message.-", text.encode(), headers={"Nats-Msg-Id": text})


async def durable(platform: Bus, tenant: str, name: str) -> None:
    """The platform makes a tenant's durable consumers."""
    config = {"durable_name": name, "ack_policy": "explicit", "filter_subject": f"wa.evt.{tenant}.>"}
    stream = events_name(tenant)  # type: ignore[arg-type]
    await platform.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})


async def count(platform: Bus, stream: str) -> int:
    return int((await platform.api(f"STREAM.INFO.{stream}"))["state"]["messages"])


async def test_a_command_is_acknowledged_and_deduplicated(broker: Broker, platform: Bus) -> None:
    """JetStream's PubAck crosses the border; the same id of another tenant is another command."""
    acme, rival = await broker.tenant("acme"), await broker.tenant("rival")
    acks = []
    for client, tenant in ((acme, "acme"), (acme, "acme"), (rival, "rival")):
        reply = await answer(client, f"wa.cmd.{tenant}.s1.send", headers={"Nats-Msg-Id": "order-1"})
        assert reply is not None
        acks.append(json.loads(reply.data))
    assert [ack["stream"] for ack in acks] == ["WA_CMD_acme", "WA_CMD_acme", "WA_CMD_rival"]
    assert [ack.get("duplicate", False) for ack in acks] == [False, True, False]


async def test_events_come_as_core_messages(broker: Broker, platform: Bus) -> None:
    """A plain subscriber sees its own tenant's events under the public subjects, and only those."""
    acme = await broker.tenant("acme")
    subscription = await acme.subscribe("wa.evt.acme.>")
    await acme.flush()
    await ingest(platform, "rival", "theirs")
    await ingest(platform, "acme", "ours")
    message = await subscription.next_msg(2)
    assert (message.subject, message.data) == ("wa.evt.acme.s1.message.-", b"ours")
    assert subscription.pending_msgs == 0


async def test_events_can_be_pulled_and_acknowledged(broker: Broker, platform: Bus) -> None:
    """From durables that the platform made, several of them; a batch comes as a whole."""
    await ingest(platform, "acme", "one")
    await ingest(platform, "acme", "two")
    acme = await broker.tenant("acme")
    for name in ("crm", "bi"):
        await durable(platform, "acme", name)
        inbox = acme.new_inbox()
        subscription = await acme.subscribe(inbox)
        request = b'{"batch": 2, "expires": 2000000000}'
        await acme.publish(f"$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.{name}", request, reply=inbox)
        for text in (b"one", b"two"):
            message = await subscription.next_msg(2)
            assert message.data == text
            await acme.publish(message.reply, b"+ACK")

        async def floor(name: str = name) -> bool:
            info = await platform.api(f"CONSUMER.INFO.WA_EVT_acme.{name}")
            return bool(info["num_ack_pending"] == 0 and info["ack_floor"]["stream_seq"] == 2)

        await wait_until(floor)


async def test_the_fleets_own_durables_are_out_of_reach(broker: Broker, platform: Bus) -> None:
    """A tenant must not pull or acknowledge what persistence reads: it would never reach the record."""
    await ingest(platform, "acme", "one")
    acme = await broker.tenant("acme")
    await durable(platform, "acme", "persistence")
    subscription = await acme.subscribe(inbox := acme.new_inbox())
    await acme.publish("$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.persistence", b'{"batch": 1}', reply=inbox)
    await acme.publish(
        "wa.cmd.acme.s1.send", b"{}", reply="$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.persistence"
    )
    await acme.publish("$JS.ACK.WA_EVT_acme.persistence.1.1.1.1.0", b"+ACK")
    await acme.flush()
    with pytest.raises(nats.errors.TimeoutError):
        await subscription.next_msg(0.5)
    info = await platform.api("CONSUMER.INFO.WA_EVT_acme.persistence")
    assert (info["delivered"]["consumer_seq"], info["ack_floor"]["stream_seq"]) == (0, 0)


async def test_control_is_answered(broker: Broker, platform: Bus) -> None:
    """A request reaches the platform with the tenant in its subject, and its answer comes back."""

    async def respond(message: Msg) -> None:
        await message.respond(message.subject.encode())

    await platform.client.subscribe("wa.ctl.*.session.list", cb=respond)
    await platform.client.flush()
    reply = await answer(await broker.tenant("acme"), "wa.ctl.acme.session.list")
    assert reply is not None
    assert reply.data == b"wa.ctl.acme.session.list"


FOREIGN = [
    "wa.cmd.rival.s1.send",
    "wa.ctl.rival.session.list",
    "wai.evt.acme.s1.message.-",
    "wai.evt.rival.s1.message.-",
    "wai.own.rival.s1",
    "wa.out.acme.s1",
    "wa.out.rival.s1",
    "wa.evt.acme.s1.message.-",
    "wa.evt.rival.s1.message.-",
    "$KV.WA_TENANTS.rival",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.WA_EVT_acme",
    "$JS.API.STREAM.MSG.GET.WA_EVT_rival",
    "$JS.API.DIRECT.GET.WA_EVT_rival",
    "$JS.API.DIRECT.GET.KV_WA_TENANTS.$KV.WA_TENANTS.rival",
    "$JS.API.STREAM.PURGE.WA_CMD_rival",
    "$JS.API.STREAM.DELETE.WA_EVT_acme",
    "$JS.API.CONSUMER.CREATE.WA_EVT_acme",
    "$JS.API.CONSUMER.DURABLE.CREATE.WA_EVT_rival.spy",
    "$JS.API.CONSUMER.INFO.WA_EVT_acme.crm",
    "$JS.API.CONSUMER.DELETE.WA_EVT_rival.crm",
    "$JS.API.CONSUMER.MSG.NEXT.WA_EVT_rival.crm",
    "$JS.API.CONSUMER.MSG.NEXT.WA_CMD_rival.dispatcher",
    "$JS.API.CONSUMER.MSG.NEXT.WA_CMD_acme.dispatcher",
    "$JS.ACK.WA_EVT_rival.crm.1.1.1.1.0",
    "$JS.FC.WA_EVT_rival.crm.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.PLATFORM.INFO",
    "$SYS.REQ.USER.INFO",
    "$SRV.PING",
    "wa.ask.acme.s1",
    "wa.dlq.acme.s1.command.-.l1",
]


async def test_nothing_foreign_answers(broker: Broker, platform: Bus) -> None:
    """Other tenants' subjects, the fleet's own, JetStream's API and the server's: no answer, and no effect."""
    await durable(platform, "rival", "crm")
    await durable(platform, "acme", "crm")
    await ingest(platform, "rival", "theirs")
    acme = await broker.tenant("acme")
    before = {
        stream: await count(platform, stream) for stream in ("WA_EVT_rival", "WA_EVT_acme", "WA_CMD_rival")
    }
    answers = await asyncio.gather(*(answer(acme, subject) for subject in FOREIGN))
    answered = [subject for subject, reply in zip(FOREIGN, answers, strict=True) if reply is not None]
    assert answered == []
    assert {stream: await count(platform, stream) for stream in before} == before
    assert (await platform.api("CONSUMER.INFO.WA_EVT_rival.crm"))["num_pending"] == 1
    refused = " ".join(broker.errors)
    assert all(subject.lower() in refused.lower() for subject in FOREIGN)


@pytest.mark.parametrize(
    "subject",
    [">", "*", "wa.>", "wa.evt.>", "wa.evt.rival.>", "wa.cmd.rival.>", "$SYS.>", "$JS.>", "wa.cmd.acme.>"],
)
async def test_nothing_foreign_can_be_heard(broker: Broker, platform: Bus, subject: str) -> None:
    """A subscription to anything but one's own events is refused and stays silent."""
    acme = await broker.tenant("acme")
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    await acme.subscribe(subject, cb=hear)
    await acme.flush()
    rival = await broker.tenant("rival")
    assert await answer(rival, "wa.cmd.rival.s1.send") is not None
    await ingest(platform, "rival", "theirs")
    await rival.flush()
    await acme.flush()
    await wait_until(lambda: any("subscription" in error for error in broker.errors))
    assert heard == []


@pytest.mark.parametrize("reply", ["wa.cmd.rival.s1.send", "wai.evt.rival.s1.message.-", "wa.out.rival.s1"])
async def test_a_reply_subject_is_no_way_across(broker: Broker, platform: Bus, reply: str) -> None:
    """In one account, a PubAck or a pulled event sent to a foreign reply subject was stored there (NATS.md)."""
    await durable(platform, "acme", "crm")
    await ingest(platform, "acme", "bait")
    acme = await broker.tenant("acme")
    await acme.publish("wa.cmd.acme.s1.send", b"{}", reply=reply)
    await acme.publish("$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.crm", b'{"batch": 1}', reply=reply)
    await acme.flush()
    assert await answer(acme, "wa.cmd.acme.s1.send") is not None  # the server has dealt with the ones before
    assert await count(platform, "WA_CMD_rival") == 0
    assert await count(platform, "WA_EVT_rival") == 0
    assert await count(platform, "WA_OUT_rival") == 0


@pytest.mark.parametrize("name", ["Nats-Rollup", "Nats-Schedule", "Nats-TTL", "Nats-Expected-Stream"])
async def test_headers_reach_no_further_than_the_tenants_own_stream(
    broker: Broker, platform: Bus, name: str
) -> None:
    """JetStream's header commands act on the stream that the subject belongs to: the tenant's commands."""
    rival = await broker.tenant("rival")
    assert await answer(rival, "wa.cmd.rival.s1.send") is not None
    acme = await broker.tenant("acme")
    value = {"Nats-Rollup": "all", "Nats-Schedule": "@every 1s", "Nats-TTL": "1s"}.get(name, "WA_CMD_rival")
    headers = {name: value, "Nats-Schedule-Target": "wa.cmd.rival.s1.send"}
    reply = await answer(acme, "wa.cmd.acme.s1.send", headers=headers)
    assert reply is not None
    assert "error" in json.loads(reply.data)
    assert await count(platform, "WA_CMD_rival") == 1


async def test_wrong_credentials_are_refused(broker: Broker) -> None:
    """Nobody comes in without credentials, with wrong ones, or with another's."""
    options: list[dict[str, Any]] = [{}, {"user": "acme", "password": "x"}]
    if broker.mode == "config":
        options += [{"user": "rival", "password": broker.secrets.tenants["acme"].password}]
    else:
        ours, theirs = (broker.operator.tenant_credentials(name).splitlines() for name in ("acme", "rival"))
        mixed = broker.directory / "mixed.creds"
        mixed.write_text("\n".join([*ours[:3], *theirs[3:]]) + "\n")
        options += [{"user_credentials": str(mixed)}]
    for option in options:
        with pytest.raises((nats.errors.Error, OSError)):
            await nats.connect(
                broker.url, allow_reconnect=False, connect_timeout=1, error_cb=_ignore, **option
            )


async def _ignore(error: Exception) -> None:
    """Expected."""
