"""A hostile tenant with valid credentials, on a whole fleet: each thing it tries is refused or stays its own affair.

While it tries, another tenant works; what that one hears and has stored is the same as in a quiet run before.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.integration.tenants.conftest import Platform, platform
from tests.integration.tenants.tried import DEAF, HEADERS, ODD, REPLIES, SILENT, TO
from tests.support import wait_until
from tests.support.running import Fleet, Plain, plain
from tests.support.scanning import hits, people_of, secrets_of

TEXT = "the-victims-own-words"
COMMANDS = 12


class Attacker:
    """Its program: two connections to the broker, and the gateway."""

    def __init__(self, fleet: Fleet, client: Client, http: httpx.AsyncClient) -> None:
        self.fleet = fleet
        self.client = client
        self.http = http
        self.heard: list[str] = []
        self.done = 0

    async def asks(self, subject: str, body: bytes = b"{}", **options: Any) -> Msg | None:
        try:
            return await self.client.request(subject, body, timeout=0.4, **options)
        except (nats.errors.Error, ValueError):
            return None

    async def control(self, verb: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.client.request(f"wa.ctl.acme.{verb}", json.dumps(arguments).encode(), timeout=15)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def hear(self, message: Msg) -> None:
        self.heard.append(message.subject)

    def login(self) -> dict[str, Any]:
        found = self.fleet.ready["tenants"]["acme"]
        return {"user": found["user"], "password": found["password"]}


@contextlib.asynccontextmanager
async def attacking(fleet: Fleet) -> AsyncIterator[Attacker]:
    async def ignore(error: Exception) -> None:
        """What the broker refuses shows in what follows."""

    tenant = fleet.ready["tenants"]["acme"]
    client: Client = await nats.connect(
        fleet.ready["nats_url"], user=tenant["user"], password=tenant["password"], error_cb=ignore,
        max_reconnect_attempts=-1, reconnect_time_wait=0.1,
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {tenant['api_key']}"}
    try:
        async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=headers, timeout=30) as http:
            yield Attacker(fleet, client, http)
    finally:
        await client.close()


# What it tries, a function a family; each says how many things it tried.


async def silent_subjects(me: Attacker) -> int:
    answers = await asyncio.gather(*(me.asks(subject) for subject in SILENT))
    assert [subject for subject, answer in zip(SILENT, answers, strict=True) if answer is not None] == []
    return len(SILENT)


async def listening(me: Attacker) -> int:
    for subject in DEAF:
        await me.client.subscribe(subject, cb=me.hear)
    await me.client.flush()
    return len(DEAF)


async def reply_subjects(me: Attacker) -> int:
    """On a command, on a pull from a durable of its own, on a control request."""
    made = await me.control("consumer.create", name="bait", start="all")
    pull = f"$JS.API.CONSUMER.MSG.NEXT.WA_EVT_acme.{made['data']['durable']}"
    for reply in REPLIES:
        for subject, body in (
            ("wa.cmd.acme.s1.send", b"{}"),
            (pull, b'{"batch": 5}'),
            ("wa.ctl.acme.session.list", b"{}"),
        ):
            await me.client.publish(subject, body, reply=reply)
    await me.client.flush()
    return 3 * len(REPLIES)


async def forged_headers(me: Attacker) -> int:
    for headers in HEADERS:
        await me.asks("wa.cmd.acme.s1.send", b'{"to": "x"}', headers=headers)
    return len(HEADERS)


async def odd_subjects(me: Attacker) -> int:
    for session in ODD:
        await me.asks(f"wa.cmd.acme.{session}.send", b"{}")
    return len(ODD)


async def names_of_others(me: Attacker) -> int:
    """The victim's session, command and chat by their very names: in this account they are others, or nobody."""
    tried: list[tuple[str, dict[str, Any], str]] = [
        ("session.status", {"session_id": "victim"}, "E_SESSION_NOT_FOUND"),
        ("session.delete", {"session_id": "victim", "tenant": "rival"}, "E_SESSION_NOT_FOUND"),
        ("session.stop", {"session_id": "victim", "tenant_id": "rival"}, "E_SESSION_NOT_FOUND"),
        ("session.qr", {"session_id": "victim"}, "E_SESSION_NOT_FOUND"),
        ("message.status", {"id": "quiet-1"}, "E_COMMAND_NOT_FOUND"),
        ("message.status", {"id": "quiet-1", "session_id": "victim"}, "E_COMMAND_NOT_FOUND"),
        ("consumer.delete", {"name": "persistence"}, "E_CONSUMER_NOT_FOUND"),
        ("consumer.create", {"name": "../x"}, "E_INVALID_FIELD"),
        ("consumer.create", {"name": "x", "sessions": ["*.>"]}, "E_INVALID_FIELD"),
        ("session.start", {"session_id": "a.b"}, "E_INVALID_FIELD"),
        ("session.start", {"session_id": "x", "engine": "baileys"}, "E_ENGINE_UNAVAILABLE"),
    ]
    for verb, arguments, code in tried:
        answer = await me.control(verb, **arguments)
        assert answer.get("error", {}).get("code") == code, (verb, answer)
    messages = await me.control("chat.messages", to=TO)
    assert TEXT not in json.dumps(messages)
    assert (await me.control("chat.list"))["data"]["chats"] == []
    assert (await me.control("usage.get"))["ok"]
    return len(tried) + 3


async def ids_that_collide(me: Attacker) -> int:
    """A session, a command and a webhook under the victim's very ids: things of its own, which it may have."""
    assert (await me.control("session.start", session_id="victim"))["ok"]
    body = {"id": "quiet-2", "to": TO, "type": "text", "text": {"body": "mine"}}
    sent = await me.asks(
        "wa.cmd.acme.victim.send", json.dumps(body).encode(), headers={"Nats-Msg-Id": "quiet-2"}
    )
    assert sent is not None
    assert b"WA_CMD_acme" in sent.data

    async def known() -> bool:
        return bool((await me.control("message.status", id="quiet-2"))["ok"])

    await wait_until(known, 60)
    hook = await me.control("webhook.create", webhook_id="victim", url="https://192.0.2.1/", types=["qr"])
    assert hook["ok"]
    assert (await me.control("webhook.delete", webhook_id="victim"))["ok"]
    assert (await me.control("session.delete", session_id="victim"))["ok"]
    return 4


async def large_payloads(me: Attacker) -> int:
    """Above a command's limit: refused by a code. Above the broker's: the connection is its own to lose."""
    await me.client.publish("wa.cmd.acme.s1.send", b"x" * 2_000_000)
    await me.client.flush()
    reader, writer = await _raw(me)
    writer.write(b"PUB wa.cmd.acme.s1.send 99999999\r\n")
    assert b"-ERR" in await _until_closed(reader)
    writer.close()
    reader, writer = await _raw(me)
    writer.write(b"PUB " + b"a" * 100_000)
    assert b"-ERR" in await _until_closed(reader)
    writer.close()
    return 3


async def _raw(me: Attacker) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = me.fleet.ready["nats_url"].removeprefix("nats://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    login = me.login()
    hello = {"user": login["user"], "pass": login["password"], "verbose": False}
    writer.write(b"CONNECT " + json.dumps(hello).encode() + b"\r\nPING\r\n")
    while not (await reader.readline()).startswith(b"PONG"):
        pass
    return reader, writer


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            while chunk := await reader.read(65536):
                found += chunk
    return found


async def ten_thousand_subscriptions(me: Attacker) -> int:
    reader, writer = await _raw(me)
    writer.write(b"".join(b"SUB wa.evt.acme.x%d.> %d\r\n" % (number, number) for number in range(1, 10_001)))
    writer.write(b"PING\r\n")
    async with asyncio.timeout(30):
        found = b""
        while b"maximum subscriptions exceeded" not in found.lower():
            chunk = await reader.read(65536)
            assert chunk, found[-200:]
            found += chunk
    writer.close()
    return 1


async def connection_flood(me: Attacker) -> int:
    """More than its quota, and as many that never say who they are."""
    host, _, port = me.fleet.ready["nats_url"].removeprefix("nats://").rpartition(":")
    strangers = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    held: list[Client] = []
    refused = 0
    for _ in range(120):
        client = Client()
        try:
            async with asyncio.timeout(6):  # nats-py may wait for ever when it is refused at a certain moment
                await client.connect(
                    me.fleet.ready["nats_url"], allow_reconnect=False, connect_timeout=5, error_cb=_ignore,
                    **me.login(),
                )  # fmt: skip
            held.append(client)
        except (nats.errors.Error, OSError):
            refused += 1
    assert refused >= 20
    await asyncio.gather(*(client.close() for client in held))
    for _, writer in strangers:
        writer.close()
    return 2


async def _ignore(error: Exception) -> None:
    """A refusal is counted where it is caught."""


async def gateway(me: Attacker) -> int:
    """Tickets that are forged, altered or replayed as keys; others' keys, sessions and headers."""
    rival = me.fleet.ready["tenants"]["rival"]
    ticket = (await me.http.post("/v1/tickets", json={})).json()["ticket"]
    head, body, signature = ticket.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    def encoded(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    forged = [
        f"{head}.{encoded({**claims, 'sub': 'rival'})}.{signature}",
        f"{head}.{encoded({**claims, 'exp': claims['exp'] + 10**6})}.{signature}",
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{head}.{body}.",
        ticket[:-4],
    ]
    anonymous = {"Authorization": ""}
    for one in forged:
        answer = await me.http.get("/v1/events", params={"ticket": one}, headers=anonymous)
        assert answer.status_code == 401, one
    tried: list[tuple[str, str, dict[str, Any], set[int]]] = [
        ("GET", "/v1/sessions", {"headers": {"Authorization": f"Bearer {ticket}"}}, {401}),
        ("GET", "/v1/sessions", {"headers": {"Authorization": f"Bearer {rival['password']}"}}, {401}),
        ("GET", "/v1/sessions", {"headers": {"Authorization": "Bearer pww_" + "a" * 43}}, {401}),
        ("GET", "/v1/sessions/victim", {"headers": {"X-Tenant-Id": "rival"}}, {403, 404}),
        ("DELETE", "/v1/sessions/victim", {}, {404}),
        ("GET", "/v1/sessions/..%2F..%2Frival", {}, {400, 404}),
        ("POST", "/v1/sessions/wa.cmd.rival/messages", {"json": {}}, {400, 404}),
        ("DELETE", f"/v1/keys/{'0' * 16}", {}, {403}),
        ("GET", "/metrics", {"headers": {"Authorization": ""}}, {401}),
    ]
    for method, path, options, allowed in tried:
        answer = await me.http.request(method, path, **options)
        assert answer.status_code in allowed, (path, answer.status_code, answer.text)
        assert TEXT not in answer.text
    return len(forged) + len(tried) + await _replayed(me)


async def _replayed(me: Attacker) -> int:
    """A good ticket, again and again, for what it is not for."""
    ticket = (await me.http.post("/v1/tickets", json={})).json()["ticket"]
    tried = [
        ("POST", "/v1/sessions/s1/messages"),
        ("GET", "/v1/sessions"),
        ("GET", "/v1/sessions/victim"),
        ("POST", "/v1/tickets"),
        ("POST", "/v1/tokens"),
    ]
    for method, path in tried * 2:
        answer = await me.http.request(method, path, params={"ticket": ticket}, headers={"Authorization": ""})
        assert answer.status_code == 401, (path, answer.status_code, answer.text)
    return 2 * len(tried)


async def flood(me: Attacker) -> int:
    """As fast as it can: its own queue, its own refusals."""
    for number in range(1500):
        await me.client.publish("wa.cmd.acme.nowhere.send", b"{}", headers={"Nats-Msg-Id": f"flood-{number}"})
    await me.client.flush()
    return 1


ATTACKS: list[Callable[[Attacker], Awaitable[int]]] = [
    listening,
    silent_subjects,
    reply_subjects,
    forged_headers,
    odd_subjects,
    names_of_others,
    ids_that_collide,
    large_payloads,
    gateway,
    ten_thousand_subscriptions,
    connection_flood,
    flood,
]


# The victim.


class Heard:
    """What it hears, as bytes."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []

    async def on_event(self, message: Msg) -> None:
        self.messages.append(message)

    def steps(self, prefix: str) -> dict[str, list[tuple[str, str]]]:
        """By command, its statuses in order, with everything that does not depend on the moment."""
        found: dict[str, list[tuple[str, str]]] = {}
        for message in self.messages:
            event = msgspec.msgpack.decode(message.data)
            if event["event"] == "status" and event["data"]["command_id"].startswith(prefix):
                where = message.subject.rpartition(".")[2]
                command = event["data"]["command_id"].removeprefix(prefix)
                found.setdefault(command, []).append((event["data"]["status"], where))
        return found


async def works(program: Plain, prefix: str) -> None:
    """Its ordinary day."""
    for number in range(COMMANDS):
        await program.send("victim", f"{prefix}{number}", TO, f"{TEXT} {number}")
    for number in range(COMMANDS):
        await wait_until(partial(_is_read, program, f"{prefix}{number}"), 90)


def _is_read(program: Plain, command_id: str) -> bool:
    return "read" in program.steps(command_id)


async def stored(asked: Platform, stream: str) -> list[tuple[str, int, bytes]]:
    """Everything in a stream, as its bytes."""
    found: list[tuple[str, int, bytes]] = []
    state = (await asked.bus.api(f"STREAM.INFO.{stream}"))["state"]
    sequence = int(state["first_seq"])
    while sequence <= int(state["last_seq"]):
        message = await asked.bus.first_from(stream, ">", sequence)
        if message is None:
            break
        found.append((message.subject, message.sequence, message.data))
        sequence = message.sequence + 1
    return found


async def test_a_hostile_tenant_reaches_nobody(fleet: Fleet) -> None:
    """More than a hundred tries beside a tenant at work: what that one hears and has stored is as without them."""
    async with platform(fleet) as asked, plain(fleet, "rival") as rival:
        heard = Heard()
        await rival.client.subscribe("wa.evt.rival.>", cb=heard.on_event)
        await rival.ok("session.start", session_id="victim")
        await rival.reached("victim", "WORKING")
        await works(rival, "quiet-")
        before = await stored(asked, "WA_EVT_rival")

        async with attacking(fleet) as attacker:
            await attacker.control("session.start", session_id="s1")
            # Alone first: nothing at all may change for an idle tenant.
            tried = 0
            for attack in ATTACKS:
                tried += await attack(attacker)
            assert tried >= 40
            assert await stored(asked, "WA_EVT_rival") == before
            assert await stored(asked, "WA_CMD_rival") == []
            # Then beside one that works.
            again = asyncio.create_task(_again(fleet))
            await works(rival, "loud-")
            await again
            mine = [subject for subject in attacker.heard if ".rival." in subject or "rival" in subject]
            assert mine == []

        assert heard.steps("loud-") == heard.steps("quiet-")
        assert rival.client.stats["reconnects"] == 0
        # What was heard is what is stored: byte for byte, in the same order, nothing between.
        events = [entry for entry in await stored(asked, "WA_EVT_rival") if entry[0].startswith("wa.evt.")]
        told = [(m.subject, int((m.headers or {})["Nats-Sequence"]), m.data) for m in heard.messages]
        assert told == events
        sources = {(m.headers or {}).get("ce-source") for m in heard.messages}
        assert sources <= {"/tenants/rival/sessions/victim", "/tenants/rival/sessions/-"}
        assert (await rival.ok("session.status", session_id="victim"))["status"] == "WORKING"


async def _again(fleet: Fleet) -> None:
    async with attacking(fleet) as attacker:
        for attack in (silent_subjects, reply_subjects, forged_headers, odd_subjects, gateway, flood):
            await attack(attacker)


async def test_nothing_secret_is_told(fleet: Fleet) -> None:
    """After all of it: no secret, number or text of anybody's in logs, metrics, process tables or stray files."""
    data = fleet.directory / "data"
    numbers, texts = people_of(data)
    assert TO.removeprefix("+").encode() in numbers
    assert any(text.startswith(TEXT.encode()) for text in texts)
    assert hits(data, log=fleet.log.encode(), pid=fleet.pid, texts=[TO, TEXT]) == []
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"]) as http:
        key = fleet.ready["tenants"]["rival"]["api_key"]
        pages = {"gateway": (await http.get("/metrics", headers={"Authorization": f"Bearer {key}"})).text}
        for service, url in fleet.reload()["health"].items():
            for page in ("metrics", "health"):
                pages[f"{service} {page}"] = (await http.get(f"{url}/{page}")).text
    assert len(pages) > 14
    words = [*secrets_of(data), TO, TO[1:], TEXT, "victim"]
    assert [(where, word) for where, page in pages.items() for word in words if word in page] == []


@pytest.mark.parametrize(
    "name", ["secrets.json", "encryption.key", "ready.json", "broker/nats.conf", "broker/broker.json"]
)
def test_files_with_secrets_are_their_owners_alone(fleet: Fleet, name: str) -> None:
    """Mode 0600, in a directory of 0700."""
    path: Path = fleet.directory / "data" / name
    assert path.stat().st_mode & 0o777 == 0o600
    assert (fleet.directory / "data").stat().st_mode & 0o777 == 0o700
