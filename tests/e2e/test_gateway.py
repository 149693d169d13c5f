"""The gateway of `pww up`, by programs that speak only HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.support import wait_until
from tests.support.chaos.proxy import Proxy
from tests.support.fuzzing import fuzz
from tests.support.receiver import receiving
from tests.support.running import Fleet, plain

TO = "+5511988880005"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    tenants = ("--tenant", "demo", "--tenant", "acme", "--tenant", "fuzz")
    env = {"PWW_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    running = Fleet(
        tmp_path_factory.mktemp("gateway"), "--engine", "simulated", "--no-sandbox", *tenants, env=env
    )
    running.start()
    yield running
    running.stop()


def client(fleet: Fleet, tenant: str = "demo") -> httpx.AsyncClient:
    key = fleet.ready["tenants"][tenant]["api_key"]
    return httpx.AsyncClient(
        base_url=fleet.ready["http_url"], headers={"Authorization": f"Bearer {key}"}, timeout=30
    )


async def started(http: httpx.AsyncClient, session: str) -> None:
    """A session that works."""
    answer = await http.post("/v1/sessions", json={"session_id": session})
    assert answer.status_code == 201, answer.text

    async def works() -> bool:
        return bool((await http.get(f"/v1/sessions/{session}")).json().get("status") == "WORKING")

    await wait_until(works, 30, interval=0.1, message=f"{session} works")


def text(number: int) -> dict[str, Any]:
    return {"id": f"n{number}", "to": TO, "type": "text", "text": {"body": f"number {number}"}}


async def test_a_message_over_http(fleet: Fleet) -> None:
    """Start, send, wait until it is read, ask for its status; the other tenant sees nothing of it."""
    async with client(fleet) as http, client(fleet, "acme") as other:
        await started(http, "first")
        sent = await http.post("/v1/sessions/first/messages", params={"wait": "read"}, json=text(0))
        assert sent.status_code == 200, sent.text
        assert sent.json()["message_id"].startswith("3EB0")
        again = await http.post("/v1/sessions/first/messages", params={"wait": "sent"}, json=text(0))
        assert again.json()["duplicate"]
        assert again.json()["message_id"] == sent.json()["message_id"]

        async def on_record() -> bool:
            status = (await http.get("/v1/sessions/first/messages/n0")).json()
            return bool(status["status"]["status"] == "read")

        await wait_until(on_record, 20, interval=0.1, message="the record follows the events")
        assert (await other.get("/v1/sessions/first")).status_code == 404
        assert (await other.get("/v1/sessions")).json() == {"sessions": []}
        wrong = await other.get("/v1/sessions", headers={"X-Tenant-Id": "demo"})
        assert wrong.json()["code"] == "E_TENANT_MISMATCH"


class Resuming:
    """A browser's EventSource: comes again with the id of the last event."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.last: str | None = None
        self.ids: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.connections = 0

    async def run(self) -> None:
        while True:
            try:
                await self._once()
            except httpx.TransportError:
                await asyncio.sleep(0.1)

    async def _once(self) -> None:
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        async with self._http.stream(
            "GET", "/v1/events", params={"session": "many"}, headers=headers
        ) as answer:
            if answer.status_code != 200:
                await asyncio.sleep(0.1)
                return
            self.connections += 1
            data, sequence = "", ""
            async for line in answer.aiter_lines():  # an event counts when its blank line came
                name, _, value = line.partition(": ")
                if name == "id":
                    sequence = value
                elif name == "data":
                    data = value
                elif not line:
                    self.last = sequence or self.last
                    if data:
                        self.ids.append(int(sequence))
                        self.events.append(json.loads(data))
                    data = ""


class Following(Resuming):
    """The same over a WebSocket."""

    async def _once(self) -> None:
        url = str(self._http.base_url.copy_with(scheme="ws", path="/v1/ws")) + "?session=many"
        headers = {"Authorization": self._http.headers["Authorization"]}
        if self.last is not None:
            url += f"&after={self.last}"
        try:
            async with connect(url, additional_headers=headers) as socket:
                self.connections += 1
                async for raw in socket:
                    frame = json.loads(raw)
                    self.last = str(frame["sequence"])
                    if "event" in frame:
                        self.ids.append(frame["sequence"])
                        self.events.append(frame["event"])
        except (OSError, WebSocketException):
            await asyncio.sleep(0.1)


async def no_event_is_missed(fleet: Fleet, count: int) -> None:
    """``count`` commands, four events each, to several chats, while gateway and webhooks are killed and links cut."""
    proxy = Proxy(int(fleet.ready["http_url"].rpartition(":")[2]))
    await proxy.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(proxy.stop)
        http = await stack.enter_async_context(client(fleet))
        reading = await stack.enter_async_context(client(fleet))
        reading.base_url = httpx.URL(f"http://127.0.0.1:{proxy.port}")
        program = await stack.enter_async_context(plain(fleet))
        receiver = await stack.enter_async_context(receiving())
        await started(http, "many")
        readers = [Resuming(reading), Following(reading)]
        tasks = [asyncio.ensure_future(reader.run()) for reader in readers]
        await wait_until(partial(all_connected, readers, 0), 20)
        await program.ok("webhook.create", webhook_id="many", url=receiver.url, sessions=["many"])
        program.events.clear()
        for number in range(count):
            await program.send("many", f"k{number}", f"+551198888{number % 5:04d}", f"number {number}")
            part, place = divmod(number, count // 4)
            if place == count // 8:
                await wait_until(partial(all_connected, readers, part), 30)
                await kill(fleet, "webhooks" if part == 3 else "gateway")
            elif place == count // 6:
                proxy.cut()
                await receiver.stop()
                await receiver.start()

        def read() -> int:
            return sum(e["data"]["status"] == "read" for e in program.of("status", "many"))

        await wait_until(lambda: read() >= count, 60 + count / 10, interval=0.1)
        wanted = [event for event in program.events if event["session_id"] == "many"]
        names = [event["id"] for event in wanted]
        assert len(names) >= 4 * count
        for reader in readers:
            await wait_until(lambda r=reader: len(r.events) >= len(names), 60 + count / 10, interval=0.1)  # type: ignore[arg-type, misc]
            assert [event["id"] for event in reader.events][-len(names) :] == names
            assert reader.ids == sorted(set(reader.ids))
            assert reader.connections > 3
        await wait_until(
            lambda: {post.json["id"] for post in receiver.accepted} >= set(names),
            120 + count / 10,
            interval=0.2,
        )
        for task in tasks:
            task.cancel()
        posted = list(
            {post.json["id"]: post.json for post in receiver.accepted}.values()
        )  # at their first time
        for key in {chat_of(event) for event in wanted} - {None}:
            told = [event["id"] for event in posted if chat_of(event) == key and event["id"] in set(names)]
            assert told == [event["id"] for event in wanted if chat_of(event) == key]
        await program.ok("webhook.delete", webhook_id="many")


def all_connected(readers: list[Resuming], times: int) -> bool:
    """More often than so."""
    return all(reader.connections > times for reader in readers)


async def kill(fleet: Fleet, service: str) -> None:
    """When it runs (again)."""
    await wait_until(lambda: fleet.reload()["pids"][service], 30)
    os.kill(fleet.ready["pids"][service][0], signal.SIGKILL)


def chat_of(event: dict[str, Any]) -> str | None:
    chat = event["data"].get("chat")
    return None if chat is None else str(chat["key"])


@pytest.mark.timeout(300)
async def test_no_event_is_missed_over_kills_and_cuts(fleet: Fleet) -> None:
    """Five hundred events: each comes over server-sent events, WebSocket and webhook, in order; NATS tells which."""
    await no_event_is_missed(fleet, 125)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_ten_thousand_events_over_kills_and_cuts(fleet: Fleet) -> None:
    """As above."""
    await no_event_is_missed(fleet, 2500)


async def test_what_a_stranger_gets(fleet: Fleet) -> None:
    """Without a key: health and documentation, and nothing that tells of a tenant."""
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"]) as nobody:
        for path in ("/v1/sessions", "/v1/events", "/metrics", "/metrics.json", "/v1/keys", "/api/sessions"):
            assert (await nobody.get(path)).status_code == 401, path
        for path in ("/health", "/openapi.json", "/docs"):
            answer = await nobody.get(path)
            assert answer.status_code == 200, path
            assert not re.search(r"\b(demo|acme)\b", answer.text)


async def test_sending_over_http_keeps_pace(fleet: Fleet) -> None:
    """A bound far below what is measured: 200 commands, 32 at once, in a few seconds; the rate is printed."""
    async with client(fleet) as http:
        await started(http, "pace")
        room = asyncio.Semaphore(32)

        async def one(number: int) -> int:
            async with room:
                return (await http.post("/v1/sessions/pace/messages", json=text(1000 + number))).status_code

        began = time.perf_counter()
        assert set(await asyncio.gather(*(one(number) for number in range(200)))) == {202}
        seconds = time.perf_counter() - began
        assert seconds < 20
        print(f"REST: {200 / seconds:.0f} commands a second")  # noqa: T201 - a figure for whoever looks


async def test_an_export_over_http_and_who_asked_for_it(fleet: Fleet) -> None:
    """A token with fewer rights starts nothing; the ZIP comes whole and in ranges; the trail has who, whence, why."""
    async with client(fleet) as http:
        narrow = (await http.post("/v1/tokens", json={"scopes": ["read"]})).json()["token"]
        weak = {"Authorization": f"Bearer {narrow}"}
        assert (await http.get("/v1/sessions", headers=weak)).status_code == 200
        assert (await http.post("/v1/data/export", headers=weak)).json()["code"] == "E_FORBIDDEN"
        await started(http, "exported")
        asked = await http.post("/v1/data/export", headers={"X-Correlation-Id": "case 7"})
        export = asked.json()
        early = await http.get(f"/v1/exports/{export['id']}")
        assert early.status_code in (200, 409), early.text

        async def done() -> bool:
            state = await http.post("/v1/data/export_status", json={"id": export["id"]})
            return bool(state.json()["state"] == "done")

        await wait_until(done, 60, interval=0.2, message="the export is made")
        whole = await http.get(f"/v1/exports/{export['id']}")
        assert (whole.status_code, whole.headers["content-type"]) == (200, "application/zip")
        assert "sessions.json" in str(zipfile.ZipFile(io.BytesIO(whole.content)).namelist())
        rest = await http.get(f"/v1/exports/{export['id']}", headers={"Range": "bytes=100-"})
        assert (rest.status_code, rest.content) == (206, whole.content[100:])
        assert (await http.get("/v1/exports/nope")).json()["code"] == "E_EXPORT_NOT_FOUND"
        assert (await http.get(f"/v1/exports/{export['id']}", headers=weak)).status_code == 403
        hook = {"webhook_id": "crm", "url": "https://crm.example/"}
        assert (await http.post("/v1/webhook/create", json=hook)).status_code == 200
        greeting = {"name": "hi", "language": "en", "body": "Hi"}
        assert (await http.post("/v1/template/put", json=greeting)).status_code == 200
        entries = (await http.post("/v1/audit/list")).json()["entries"]
        found = {entry["action"]: entry for entry in reversed(entries)}  # the newest of each
        for name in ("session.start", "data.export", "webhook.create"):
            assert found[name]["address"] == "127.0.0.1", name
        asked_by = {found[name]["actor"] for name in ("session.start", "webhook.create", "template.put")}
        assert asked_by == {found["data.export"]["actor"]}
        assert found["data.export"]["actor"].startswith("key:")
        assert found["data.export"]["correlation_id"] == "case 7"


@pytest.mark.timeout(400)
def test_every_answer_is_in_the_openapi_document(fleet: Fleet) -> None:
    """Requests made from the document, right and wrong: no server's error, and no answer that it does not have."""
    url, tenant = fleet.ready["http_url"], fleet.ready["tenants"]["fuzz"]
    told = fuzz(url, tenant["api_key"], examples=1)
    assert told.faults == {}
    assert {200, 400, 404} <= told.statuses.keys()
    assert told.statuses.total() > 250


@pytest.mark.benchmark
@pytest.mark.timeout(5400)
def test_many_more_requests(fleet: Fleet) -> None:
    """As above, for minutes; on a busy machine for an hour."""
    url, tenant = fleet.ready["http_url"], fleet.ready["tenants"]["fuzz"]
    told = fuzz(url, tenant["api_key"], examples=60)
    assert told.faults == {}
