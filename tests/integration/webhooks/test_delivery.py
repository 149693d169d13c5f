"""Posts as a receiver sees them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import events, subjects
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.rule_data import TARGET_HEADER
from pywhatsweb.errors import ContractError, ErrorCode, RequestError
from pywhatsweb_fleet.webhooks.posting import Poster, posting
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence.traffic import contact, envelope, message, publish
from tests.integration.webhooks.conftest import Ask, serving
from tests.support import wait_until
from tests.support.receiver import Post, Receiver, Reply


def chat_of(post: Post) -> str:
    return str(post.json["data"]["chat"]["key"])


def verified(post: Post, secret: str) -> bool:
    """As Standard Webhooks' libraries check it."""
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    good = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return good in post.headers["webhook-signature"].split(" ")


async def test_events_come_signed_once_and_in_their_chats_order(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """Only what was asked for, from its creation on; the secret's change has both signatures for a while."""
    await publish(publisher, message(900, who=1))
    made = await ask(
        "webhook.create", webhook_id="crm", url=receiver.url, types=["message"], headers={"X-Key": "abc"}
    )
    assert made.secret is not None
    assert made.headers == ["X-Key"]
    await publish(publisher, *(message(n, who=n % 5) for n in range(100)))
    await wait_until(lambda: len(receiver.posts) == 100, 30, message="all are posted")
    assert all(verified(post, made.secret) for post in receiver.posts)
    assert all(post.headers["x-key"] == "abc" for post in receiver.posts)
    assert all(
        post.headers["webhook-id"] == post.json["id"] == post.headers["ce-id"] for post in receiver.posts
    )
    for chat in {chat_of(post) for post in receiver.posts}:
        told = [int(post.json["data"]["id"][3:]) for post in receiver.posts if chat_of(post) == chat]
        assert told == sorted(told)
    turned = await ask("webhook.rotate", webhook_id="crm")
    for n in range(200, 260):  # the replica that posts hears of it within seconds
        await publish(publisher, message(n, who=1))
        await wait_until(lambda n=n: receiver.posts[-1].json["data"]["id"] == f"WAM{n}", 30)  # type: ignore[misc]
        if verified(receiver.posts[-1], turned.secret):
            break
        await asyncio.sleep(0.2)
    assert verified(receiver.posts[-1], made.secret)
    assert verified(receiver.posts[-1], turned.secret)
    assert (await ask("webhook.get", webhook_id="crm")).secret is None


async def test_a_phones_history_is_posted_where_it_was_asked_for(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """And nowhere else: a newly linked phone may bring thousands of old messages."""
    await ask("webhook.create", webhook_id="crm", url=f"{receiver.url}/crm")
    made = await ask("webhook.create", webhook_id="archive", url=f"{receiver.url}/archive", history=True)
    assert made.history
    old = message(1, who=1)
    old = msgspec.structs.replace(old, data=msgspec.structs.replace(old.data, history=True))
    await publish(publisher, old, message(2, who=1))

    def posted(to: str) -> list[str]:
        return [post.json["data"]["id"] for post in receiver.posts if post.path.endswith(to)]

    await wait_until(lambda: "WAM2" in posted("crm") and "WAM2" in posted("archive"), 60)
    assert (posted("crm"), posted("archive")) == (["WAM2"], ["WAM1", "WAM2"])


async def test_a_refused_event_holds_its_chat_and_no_other(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """What comes behind it waits, and follows in order when it is taken."""
    refused = {"on": True}

    def answer(post: Post) -> Reply:
        return Reply(500, body=b"not now") if refused["on"] and post.json["data"]["id"] == "WAM0" else Reply()

    receiver.answer = answer
    await ask("webhook.create", webhook_id="crm", url=receiver.url, types=["message"])
    await publish(publisher, *(message(n, who=n % 3) for n in range(30)))
    await wait_until(lambda: len(receiver.accepted) == 20, 30, message="the other chats go on")
    first = next(post for post in receiver.posts if post.json["data"]["id"] == "WAM0")
    held = first.headers["webhook-id"]
    assert {chat_of(post) for post in receiver.accepted}.isdisjoint({chat_of(first)})

    async def waits() -> bool:
        return bool((await ask("webhook.get", webhook_id="crm")).waiting)

    await wait_until(waits, 20)
    tried = await ask("webhook.deliveries", webhook_id="crm", failed=True)
    assert (tried.deliveries[0].answer, tried.deliveries[0].excerpt) == (500, "not now")
    refused["on"] = False
    await wait_until(lambda: len(receiver.accepted) == 30, 30, message="the rest follows")
    late = [int(post.json["data"]["id"][3:]) for post in receiver.accepted[20:]]
    assert late == sorted(late)
    assert receiver.accepted[20].headers["webhook-id"] == held

    async def settled() -> bool:
        info = await ask("webhook.get", webhook_id="crm")
        return (info.waiting, info.state) == (0, "ok")

    await wait_until(settled, 20)


async def test_a_dead_receiver_slows_nobody_and_gets_everything_later(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """Its circuit opens; a probe that succeeds closes it, and what waited comes in order."""
    await ask("webhook.create", webhook_id="alive", url=receiver.url + "/alive", types=["message"])
    await ask("webhook.create", webhook_id="dead", url=receiver.url + "/dead", types=["message"])
    down = {"on": True}
    receiver.answer = lambda post: Reply(503 if down["on"] and post.path.endswith("dead") else 204)

    def taken(name: str) -> list[int]:
        found = (int(p.json["data"]["id"][3:]) for p in receiver.accepted if p.path.endswith(name))
        return list(dict.fromkeys(found))

    await publish(publisher, *(message(n, who=n % 20) for n in range(200)))
    await wait_until(lambda: len(taken("alive")) == 200, 30)

    async def opened() -> bool:
        return bool((await ask("webhook.get", webhook_id="dead")).state == "open")

    await wait_until(opened, 30, interval=0.1)
    tries = sum(post.path.endswith("dead") for post in receiver.posts)
    assert tries < 60
    down["on"] = False
    # A probe comes after half a minute; whoever does not want to wait switches it off and on.
    await ask("webhook.disable", webhook_id="dead")
    await ask("webhook.enable", webhook_id="dead", replay=True)
    await wait_until(lambda: set(taken("dead")) == set(range(200)), 30)
    for who in range(20):
        mine = [n for n in taken("dead") if n % 20 == who]
        assert mine == sorted(mine)


async def test_what_is_given_up_can_be_driven_again(  # noqa: PLR0917 - fixtures
    settings: WebhooksSettings, bus: Bus, tmp_path: Path, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """Its chat goes on without it; it is tried again on request."""
    settings = msgspec.structs.replace(settings, webhook_give_up_s=0.5)
    async with serving(settings, tmp_path / "ready"):
        bad = {"on": True}
        receiver.answer = lambda post: Reply(400 if bad["on"] and post.json["data"]["id"] == "WAM0" else 200)
        await ask("webhook.create", webhook_id="crm", url=receiver.url, types=["message"])
        await publish(publisher, *(message(n, who=1) for n in range(3)))
        await wait_until(lambda: len(receiver.accepted) == 2, 30, message="the chat goes on")

        async def dead() -> Any:
            return (await ask("webhook.deadletters", webhook_id="crm")).deadletters

        await wait_until(dead, 20)
        (letter,) = await dead()
        assert letter.answer == 400
        assert letter.attempts > 1
        with pytest.raises(RequestError) as unknown:
            await ask("webhook.redrive", webhook_id="crm", event_id="nothing")
        assert unknown.value.code is ErrorCode.E_DEADLETTER_NOT_FOUND
        bad["on"] = False
        assert (await ask("webhook.redrive", webhook_id="crm", all=True)).count == 1
        await wait_until(lambda: len(receiver.accepted) == 3, 30)
        assert receiver.accepted[-1].headers["webhook-id"] == letter.event_id

        async def none() -> bool:
            info = await ask("webhook.get", webhook_id="crm")
            return (info.dead, info.waiting) == (0, 0)

        await wait_until(none, 20)


async def test_gone_and_later_are_honoured(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """429 with Retry-After pauses the webhook; 410 ends it, with an alert."""
    busy = {"left": 1}

    def answer(_: Post) -> Reply:
        busy["left"] -= 1
        return Reply(429, (("Retry-After", "2"),)) if busy["left"] >= 0 else Reply()

    receiver.answer = answer
    await ask("webhook.create", webhook_id="crm", url=receiver.url, types=["message"])
    loop = asyncio.get_running_loop()
    began = loop.time()
    await publish(publisher, message(1, who=1))
    await wait_until(lambda: len(receiver.accepted) == 1, 30)
    assert loop.time() - began >= 2
    receiver.answer = lambda _: Reply(410)
    await publish(publisher, message(2, who=1))

    async def gone() -> bool:
        info = await ask("webhook.get", webhook_id="crm")
        return (info.state, info.reason) == ("disabled", "gone")

    await wait_until(gone, 20)
    told = await ask("webhook.list")
    assert [one.webhook_id for one in told.webhooks] == ["crm"]
    await ask("webhook.delete", webhook_id="crm")
    with pytest.raises(RequestError) as missing:
        await ask("webhook.get", webhook_id="crm")
    assert missing.value.code is ErrorCode.E_WEBHOOK_NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "ftp://example.org/"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://user:pass@example.org/"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://:443/"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://ex\u00e4mple.org/"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/\u00e9"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/\x7f"}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/", "headers": {"Content-Length": "1"}}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/", "headers": {"X\r\nY": "1"}}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/", "headers": {"X": "1\r\nY: 2"}}, ErrorCode.E_INVALID_FIELD),
        ({"url": "https://example.org/", "secret": "whsec_c2hvcnQ="}, ErrorCode.E_INVALID_FIELD),
    ],
)
async def test_what_cannot_be_a_webhook(fields: dict[str, Any], code: ErrorCode) -> None:
    from pywhatsweb.contracts import control

    with pytest.raises(ContractError) as refused:
        control.parse("webhook.create", msgspec.json.encode(fields))
    assert refused.value.code is code


async def test_no_packet_goes_to_a_private_address(
    settings: WebhooksSettings, bus: Bus, tmp_path: Path, ask: Ask, publisher: Publisher
) -> None:
    """A name that resolves to one, a redirect to one: neither is followed; the test says which on the way."""
    connected: list[str] = []
    settings = msgspec.structs.replace(settings, webhook_networks="")

    async def resolve(host: str, _: int) -> list[str]:
        return ["169.254.169.254", "10.0.0.5", "::ffff:127.0.0.1"] if host == "rebound.example" else [host]

    class Connector:
        async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
            connected.append(host)
            raise AssertionError

    async with serving(settings, tmp_path / "ready", resolve=resolve, connector=Connector()):
        for url in (
            "https://rebound.example/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://192.168.1.1/",
        ):
            await ask("webhook.create", webhook_id="w", url=url)
            told = await ask("webhook.test", webhook_id="w")
            assert (told.ok, told.error) == (False, "blocked_address"), url
        assert connected == []
        with pytest.raises(RequestError) as refused:
            await ask("webhook.create", url="http://example.org/")
        assert refused.value.details == {"path": "$.url", "expected": "https"}


async def test_an_address_that_cannot_be_written_is_a_failure(settings: WebhooksSettings) -> None:
    """One that was taken by an earlier version fails as others do: it is tried again later, and told."""
    async with posting(Poster(settings)) as poster:
        told = await poster.post("https://example.org/\u00e9", b"{}", {})
    assert (told.ok, told.status, told.error) == (False, None, "unusable_address")


async def test_a_redirect_is_a_failure(service: None, ask: Ask, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(302, (("Location", receiver.url + "/else"),))
    await ask("webhook.create", webhook_id="w", url=receiver.url)
    told = await ask("webhook.test", webhook_id="w")
    assert (told.ok, told.answer, len(receiver.posts)) == (False, 302, 1)


async def test_an_alert_that_is_for_one_webhook_comes_to_no_other(
    service: None, ask: Ask, publisher: Publisher, receiver: Receiver
) -> None:
    """What a policy's rule addresses; any other alert comes to all that want alerts."""
    for name in ("crm", "other"):
        await ask("webhook.create", webhook_id=name, url=f"{receiver.url}-{name}", types=["alert"])
    chat, _ = contact(1)
    for number, target in enumerate(("crm", None)):
        event = envelope(events.AlertEvent, f"alert-{number}", d.Alert(kind="rule", chat=chat))
        headers = {**events.headers(event), **({TARGET_HEADER: target} if target else {})}
        subject = subjects.event_ingest(TenantId("acme"), SessionId("s1"), "alert", ChatKey(chat.key))
        await publisher.publish(subject, encode(event), headers)
    await wait_until(lambda: len(receiver.posts) >= 3, 30, message="both have the second one")
    got = sorted((post.path, post.json["id"]) for post in receiver.posts)
    assert got == [("/hook-crm", "alert-0"), ("/hook-crm", "alert-1"), ("/hook-other", "alert-1")]
