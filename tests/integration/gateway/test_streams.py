"""Events over SSE and WebSocket: resumed without a gap, filtered, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pywhatsweb_fleet.gateway import feed
from tests.integration.gateway.conftest import World
from tests.support import wait_until


@contextlib.asynccontextmanager
async def events(
    client: httpx.AsyncClient, **query: Any
) -> AsyncIterator[AsyncIterator[tuple[int, dict[str, Any]]]]:
    """(stream sequence, event) of ``/v1/events``."""
    headers = query.pop("headers", None)
    async with client.stream("GET", "/v1/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()

        async def parsed() -> AsyncIterator[tuple[int, dict[str, Any]]]:
            sequence = 0
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    sequence = int(value)
                elif name == "data":
                    yield sequence, json.loads(value)

        yield parsed()


async def take(stream: AsyncIterator[tuple[int, Any]], count: int) -> list[int]:
    async with asyncio.timeout(15):
        return [(await anext(stream))[0] for _ in range(count)]


async def test_resuming_misses_and_repeats_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the beginning, from the middle below the ring, and on into what comes live: each event once, in order."""
    monkeypatch.setattr(feed, "RING_EVENTS", 16)
    told = [await world.tell() for _ in range(100)]
    async with world.client() as client:
        async with events(client, after=0) as stream:
            assert await take(stream, 100) == told
            told += [await world.tell() for _ in range(40)]
            assert await take(stream, 30) == told[100:130]
        async with events(client, headers={"Last-Event-ID": str(told[129])}) as stream:
            assert await take(stream, 10) == told[130:]
            live = await world.tell()
            assert await take(stream, 1) == [live]


async def test_two_readers_at_their_own_pace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads late gets the same events as one that follows, though the ring has long dropped them."""
    monkeypatch.setattr(feed, "RING_EVENTS", 8)
    async with world.client() as client, events(client) as prompt, events(client) as late:
        told = [await world.tell() for _ in range(60)]
        assert await take(prompt, 60) == told
        assert await take(late, 60) == told


async def test_filters_and_borders(world: World) -> None:
    """Only the sessions and types asked for; never another tenant's; a position beyond the stream is told as a gap."""
    await world.tell("s2")
    await world.tell(tenant="acme")
    mine = await world.tell("s1")
    async with world.client() as client:
        async with events(client, after=0, session="s1", type="status,message") as stream:
            assert await take(stream, 1) == [mine]
        async with events(client, after=10_000) as stream:
            _, error = await anext(stream)
            assert error["code"] == "E_EVENT_GAP"
        for bad in ({"type": "nothing"}, {"session": "../x"}, {"after": "-1"}, {"after": "x"}):
            assert (await client.get("/v1/events", params=bad)).status_code in (400, 422), bad


async def test_a_websocket_follows_and_resumes(world: World) -> None:
    """Events with their sequences, heartbeats in between; with ``after`` it goes on where it was."""
    url = world.url.replace("http", "ws") + "/v1/ws"
    protocols: Any = ["pww.v1", f"pww.key.{world.keys['demo']}"]
    async with connect(url, subprotocols=protocols) as socket:
        assert socket.subprotocol == "pww.v1"
        assert "sequence" in json.loads(await socket.recv())
        first = await world.tell()
        frame = json.loads(await socket.recv())
        while "event" not in frame:
            frame = json.loads(await socket.recv())
        assert (frame["sequence"], frame["event"]["event"]) == (first, "status")
        heartbeat = json.loads(await asyncio.wait_for(socket.recv(), 5))
        assert heartbeat == {"sequence": first}
    missed = await world.tell()
    async with world.client() as client:
        ticket = (await client.post("/v1/tickets")).json()["ticket"]
    async with connect(f"{url}?after={first}&ticket={ticket}") as socket:
        assert json.loads(await socket.recv()) == {"sequence": first}
        assert json.loads(await socket.recv())["sequence"] == missed


async def test_websockets_that_are_refused(world: World) -> None:
    """No key, a wrong ticket, a page of another origin, another path."""
    url = world.url.replace("http", "ws") + "/v1/ws"
    own = {"Authorization": f"Bearer {world.keys['demo']}"}
    cases: list[tuple[str, dict[str, str], int]] = [
        (url, {}, 401),
        (f"{url}?ticket=a.b.c", {}, 401),
        (url, {**own, "Origin": "https://evil.example"}, 403),
        (url + "2", own, 404),
    ]
    for address, headers, status in cases:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(address, additional_headers=headers):
                pass
        assert caught.value.response.status_code == status


async def test_a_revoked_key_closes_its_streams(world: World) -> None:
    """Within a heartbeat the reader is gone."""
    url = world.url.replace("http", "ws") + "/v1/ws"
    async with world.client() as client:
        made = (await client.post("/v1/keys", json={"name": "x", "scopes": ["read"]})).json()
        async with connect(url, additional_headers={"X-Api-Key": made["key"]}) as socket:
            await socket.recv()
            await client.delete(f"/v1/keys/{made['id']}")
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1001


async def test_a_slow_reader_is_cut(world: World) -> None:
    """One that takes nothing is disconnected, with nothing kept for it; it can come again."""
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        f"GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nX-Api-Key: {world.keys['demo']}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    big = "x" * 200_000
    for index in range(60):
        await world.bus.request(
            "wai.evt.demo.s1.alert.-",
            json.dumps({"event": "alert", "data": big}).encode(),
            headers={"Nats-Msg-Id": f"big{index}"},
        )
    async with world.client() as client:

        async def cut() -> bool:
            return 'pww_http_streams_cut_total{kind="sse"} 1.0' in (await client.get("/metrics")).text

        await wait_until(cut, 15, interval=0.2)
    writer.close()
