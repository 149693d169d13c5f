"""Requests over HTTP: verbs, commands, errors, ids, and what is refused at the door."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import httpx
import msgspec
import pytest

from pywhatsweb.errors import ErrorCode
from tests.integration.gateway.conftest import World
from tests.support import wait_until

INFO = {"session_id": "s1", "status": "WORKING", "engine": "simulated", "desired": "running"}
TEXT = {"to": "+5511999990001", "type": "text", "text": {"body": "hi"}}


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), answer.text
    return body


async def test_verbs_and_their_friendly_addresses(world: World) -> None:
    """Both reach the same verb; a page's cursor passes through; ids come back; MessagePack is answered in kind."""
    await world.answers("session.status", lambda _: INFO)
    await world.answers("chat.list", lambda args: {"chats": [], "cursor": args["cursor"] + "+"})
    await world.answers("session.start", lambda _: INFO)
    async with world.client() as client:
        odd = await client.post(
            "/v1/sessions/s1/start", content=b'{"engine": "baileys", "x": -1e99, "y": -%d}' % 2**80
        )
        assert odd.status_code == 200, odd.text  # what nobody knows is passed over, whatever it holds
        is_problem(await client.post("/v1/media/begin", json={"size": 2**80}), 400, "E_INVALID_FIELD")
        wrong = await client.post("/v1/sessions/s1/start", json={"pairing": "x"})
        is_problem(wrong, 400, "E_INVALID_FIELD")
        ids = {"X-Correlation-Id": "order 7", "X-Request-Id": "r1"}
        friendly = await client.get("/v1/sessions/s1", headers=ids)
        assert friendly.json()["status"] == "WORKING"
        told = {name: friendly.headers[name] for name in (*ids, "X-Tenant-Id", "X-Session-Id")}
        assert told == {**ids, "X-Tenant-Id": "demo", "X-Session-Id": "s1"}
        assert friendly.headers["x-content-type-options"] == "nosniff"
        packed = msgspec.msgpack.encode({"session_id": "s1"})
        answer = await client.post("/v1/session/status", content=packed)
        assert msgspec.msgpack.decode(answer.content)["session_id"] == "s1"
        page = await client.post("/v1/chat/list", json={"cursor": "abc", "limit": 2})
        assert page.json()["cursor"] == "abc+"
    assert world.asked[-1] == ("chat.list", {"cursor": "abc", "limit": 2})


async def test_failures_are_problems_of_the_catalogue(world: World) -> None:
    """The control plane's refusal, a verb that nobody answers, a wrong field, no such address."""
    await world.answers("session.status", lambda _: ErrorCode.E_SESSION_NOT_FOUND)
    await world.answers("health.get", lambda _: {"ok": True, "version": "1"})
    async with world.client() as client:
        is_problem(await client.get("/v1/sessions/nope"), 404, "E_SESSION_NOT_FOUND")
        is_problem(await client.post("/v1/audit/list"), 501, "E_NOT_IMPLEMENTED")
        problem = is_problem(await client.post("/v1/chat/list", json={"limit": 0}), 400, "E_INVALID_FIELD")
        assert problem["details"] == {"path": "$.limit", "limit": ">=1"}
        is_problem(await client.post("/v1/chat/list", content=b"nonsense"), 400, "E_MALFORMED_BODY")
        is_problem(await client.get("/v1/nowhere"), 404, "E_UNKNOWN_VERB")
        is_problem(await client.get("/v1/sandbox"), 404, "E_UNKNOWN_VERB")  # none runs beside this one
        assert (await client.put("/v1/sessions")).status_code == 405


async def test_a_command_is_stored_once_under_its_idempotency_key(world: World) -> None:
    """202 is JetStream's answer; the same key again is a duplicate; a body with another id is refused."""
    async with world.client() as client:
        headers = {"Idempotency-Key": "order-1"}
        first = await client.post("/v1/sessions/s1/messages", json=TEXT, headers=headers)
        again = await client.post("/v1/sessions/s1/messages", json=TEXT, headers=headers)
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"] == "order-1"
        assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
        body = {**TEXT, "id": "other"}
        answer = await client.post("/v1/sessions/s1/messages", json=body, headers=headers)
        is_problem(answer, 400, "E_INVALID_COMMAND_ID")
    stored = await world.bus.last("WA_CMD_demo", "wa.cmd.demo.s1.send")
    assert stored is not None
    assert stored.headers["Nats-Msg-Id"] == "order-1"
    assert json.loads(stored.data) == TEXT


async def test_waiting_for_the_outcome(world: World) -> None:
    """200 when it is sent, the failure's problem when it fails, 202 with the last status when it takes too long."""
    await world.answers("message.status", lambda _: ErrorCode.E_COMMAND_NOT_FOUND)

    async def send(client: httpx.AsyncClient, command: str, seconds: float, to: str = "s1") -> httpx.Response:
        return await client.post(
            f"/v1/sessions/{to}/messages",
            params={"wait": "sent", "timeout": seconds},
            json={**TEXT, "id": command},
        )

    async def stored(count: int) -> None:
        async def there() -> bool:
            state = (await world.bus.api("STREAM.INFO.WA_CMD_demo"))["state"]
            return int(state["messages"]) == count

        await wait_until(there)

    async with world.client() as client:
        for number, (status, http) in enumerate((("sent", 200), ("read", 200), ("failed", 500)), start=1):
            waiting = asyncio.ensure_future(send(client, f"c{number}", 5))
            await stored(number)
            await world.tell(status="accepted", command=f"c{number}")
            await world.tell(status=status, command=f"c{number}")
            answer = await waiting
            assert answer.status_code == http, answer.text
            assert answer.json()["status"] == (status if http == 200 else 500)
        late = await send(client, "c4", 0.2)
        assert (late.status_code, late.json()["status"]) == (202, "accepted")
        is_problem(await send(client, "c5", 9999), 400, "E_INVALID_FIELD")
        waiting = asyncio.ensure_future(send(client, "c6", 60, "@support"))
        await stored(5)
        await world.tell("s7", command="c6")  # another session's command of the same id
        await world.tell("s2", "accepted", command="c6", inbox="@support")
        await world.tell("s2", "read", command="c6")  # receipts need not name the inbox
        answer = await waiting
        assert (answer.status_code, answer.json()["status"]) == (200, "read"), answer.text
        assert answer.headers["X-Session-Id"] == answer.json()["session_id"] == "@support"
        is_problem(await send(client, "c7", 5, "@Support"), 400, "E_INVALID_SESSION_ID")
        is_problem(await client.get("/v1/sessions/@support"), 400, "E_INVALID_SESSION_ID")


async def test_who_may_not_come_in(world: World) -> None:
    """No key, a wrong one, one in the query, another tenant's name, a key without the scope or the session."""
    await world.answers("session.status", lambda _: INFO)
    async with world.client() as client, world.client(None) as nobody:
        for headers in ({}, {"X-Api-Key": "pww_wrong"}, {"Authorization": "Basic x"}):
            answer = await nobody.get("/v1/sessions/s1", headers=headers)
            is_problem(answer, 401, "E_AUTHENTICATION_FAILED")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        is_problem(await nobody.get(f"/v1/events?key={world.keys['demo']}"), 401, "E_AUTHENTICATION_FAILED")
        mismatch = await client.get("/v1/sessions/s1", headers={"X-Tenant-Id": "acme"})
        assert mismatch.json()["code"] == "E_TENANT_MISMATCH"
        asked = {"name": "reader", "scopes": ["read"], "sessions": ["s2"]}
        reader = (await client.post("/v1/keys", json=asked)).json()
        own = {"Authorization": f"Bearer {reader['key']}"}
        is_problem(await nobody.post("/v1/sessions/s2/messages", json=TEXT, headers=own), 403, "E_FORBIDDEN")
        is_problem(await nobody.get("/v1/sessions/s1", headers=own), 403, "E_FORBIDDEN")
        is_problem(await nobody.get("/v1/events?session=s1", headers=own), 403, "E_FORBIDDEN")
        is_problem(await nobody.get("/v1/keys", headers=own), 403, "E_FORBIDDEN")
        assert (await nobody.get("/v1/sessions/s2", headers=own)).status_code == 200


async def test_keys_are_rotated_with_an_overlap(world: World) -> None:
    """The old key works until the overlap ends, the new one at once; a revoked one no more; use is shown."""
    await world.answers("session.status", lambda _: INFO)
    async with world.client() as client, world.client(None) as nobody:
        first = (await client.post("/v1/keys", json={"name": "app", "scopes": ["read"]})).json()

        async def opens(key: str) -> bool:
            return (await nobody.get("/v1/sessions/s1", headers={"X-Api-Key": key})).status_code == 200

        second = (await client.post(f"/v1/keys/{first['id']}/rotate", json={"overlap_s": 1})).json()
        assert await opens(first["key"])
        assert await opens(second["key"])

        async def over() -> bool:
            return not await opens(first["key"])

        await wait_until(over, 5, interval=0.1)
        found = {key["id"]: key for key in (await client.get("/v1/keys")).json()["keys"]}
        assert found[first["id"]]["expired"]
        assert found[second["id"]]["last_used_at"] is not None
        assert "key" not in found[second["id"]]
        assert (await client.delete(f"/v1/keys/{second['id']}")).status_code == 200
        assert not await opens(second["key"])
        async with world.client("acme") as acme:
            is_problem(await acme.delete(f"/v1/keys/{found[first['id']]['id']}"), 403, "E_FORBIDDEN")


@pytest.mark.parametrize("name", ["..%2Fs2", "s1.%3E", "%2A", "S1", "s1%0d%0aX-Evil:%201", "%00"])
async def test_names_that_would_leave_their_place(world: World, name: str) -> None:
    """A session's name cannot climb, match others or end a line."""
    async with world.client() as client:
        answer = await client.get(f"/v1/sessions/{name}/qr")
        assert answer.status_code in (400, 404)
        assert "x-evil" not in answer.headers
        assert answer.json()["code"] in ("E_INVALID_SESSION_ID", "E_UNKNOWN_VERB")
    assert world.asked == []


async def test_lines_cannot_be_smuggled_into_headers(world: World) -> None:
    """Neither a correlation id nor an idempotency key may hold what is no plain text."""
    async with world.client() as client:
        for header in ("X-Correlation-Id", "Idempotency-Key"):
            answer = await client.post(
                "/v1/sessions/s1/messages",
                json=TEXT,
                headers=httpx.Headers([(header.encode(), b"a\xe9\x85b")]),
            )
            assert answer.status_code == 400, header
        body = {**TEXT, "id": "a\r\nNats-Rollup: all"}
        is_problem(await client.post("/v1/sessions/s1/messages", json=body), 400, "E_INVALID_COMMAND_ID")


async def test_large_and_slow_bodies_are_cut(world: World) -> None:
    """Too large is refused before and while it is read; one that drips is given up, as are dripping headers."""
    async with world.client() as client:
        is_problem(await client.post("/v1/chat/list", content=b"x" * 2_000_000), 413, "E_BODY_TOO_LARGE")

        async def parts() -> Any:
            for _ in range(40):
                yield b"x" * 50_000

        is_problem(await client.post("/v1/chat/list", content=parts()), 413, "E_BODY_TOO_LARGE")

        async def drips() -> Any:
            yield b"{"
            await asyncio.sleep(2)
            yield b"}"

        is_problem(await client.post("/v1/chat/list", content=drips()), 504, "E_TIMEOUT")
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_cors_is_closed(world: World) -> None:
    """A page of another origin gets no permission."""
    async with world.client() as client:
        origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = await client.options("/v1/sessions", headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_compatible_routes(world: World) -> None:
    """PyWhatsWeb 0.5's, WAHA's and the Cloud API's requests become the same commands and verbs."""
    await world.answers("session.start", lambda _: {**INFO, "status": "STARTING"})
    await world.answers("session.stop", lambda _: {**INFO, "status": "STOPPED", "desired": "stopped"})
    await world.answers("session.list", lambda _: {"sessions": [INFO]})
    async with world.client() as client:
        started = (await client.post("/api/session/s1/start", json={"phone_number": "+5511999990002"})).json()
        assert (started["success"], started["status"]) == (True, "connecting")
        stopped = (await client.post("/api/sessions/stop-all")).json()
        assert stopped == {"success": True, "stopped": ["s1"], "failed": {}}
        sends = (
            ("/api/session/s1/send-message", {"to": "+5511999990001", "text": "hi"}),
            ("/api/sendText?timeout=0.1", {"session": "s1", "chatId": "5511999990001@c.us", "text": "hi"}),
            (
                "/v21.0/s1/messages",
                {
                    "messaging_product": "whatsapp",
                    "to": "5511999990001",
                    "type": "text",
                    "text": {"body": "hi"},
                },
            ),
        )
        for path, body in sends:
            answer = await client.post(path, json=body)
            assert answer.status_code in (200, 201), answer.text
            stored = await world.bus.last("WA_CMD_demo", "wa.cmd.demo.s1.send")
            assert stored is not None
            assert msgspec.msgpack.decode(stored.data) == TEXT, path
        assert (await client.get("/api/sessions")).json()[0]["status"] == "WORKING"
        is_problem(await client.post("/vx/s1/messages", json=TEXT), 404, "E_UNKNOWN_VERB")
        assert "pww_http_requests_total" in (await client.get("/metrics")).text
        assert (await client.get("/docs")).headers["content-security-policy"].startswith("default-src 'none'")


async def test_files_keep_to_their_places(world: World) -> None:
    """An id cannot climb; what is no form, or has no file, is refused; another session's upload too."""
    missing = ErrorCode.E_MEDIA_NOT_FOUND
    await world.answers("media.show", lambda _: missing)
    await world.answers("data.export_status", lambda _: ErrorCode.E_EXPORT_NOT_FOUND)
    async with world.client() as client:
        for base in ("/v1/media/", "/v1/exports/"):
            for name in ("..%2F..%2Fetc%2Fpasswd", "a%2Fb", "%00", "%2e%2e", "x" * 65, "a%0d%0aX-Evil:%201"):
                answer = await client.get(base + name)
                assert answer.status_code == 404, (base, name)
                assert "x-evil" not in answer.headers
        assert world.asked == []
        is_problem(await client.get("/v1/media/med_1"), 404, missing.name)
        is_problem(await client.get("/v1/exports/exp_1"), 404, "E_EXPORT_NOT_FOUND")
        upload = "/v21.0/s1/media"
        is_problem(await client.post(upload, json={"file": "x"}), 400, "E_MALFORMED_BODY")
        is_problem(await client.post(upload, files={"other": b"x"}), 400, "E_MISSING_FIELD")
        cut = b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nhalf"
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        is_problem(await client.post(upload, content=cut, headers=kind), 400, "E_MALFORMED_BODY")
        bound = (
            await client.post("/v1/keys", json={"name": "b", "scopes": ["send"], "sessions": ["s2"]})
        ).json()
        async with world.client(None, **{"X-Api-Key": bound["key"]}) as other:
            is_problem(await other.post(upload, files={"file": b"x"}), 403, "E_FORBIDDEN")


async def test_a_token_that_is_over_opens_nothing(world: World) -> None:
    """By a header as a ticket in the query: while it lasts, and not after."""
    async with world.client() as client, world.client(None) as nobody:
        token = (await client.post("/v1/tokens", json={"ttl_s": 1, "scopes": ["read"]})).json()["token"]
        own = {"Authorization": f"Bearer {token}"}

        async def over() -> bool:
            return (await nobody.get("/v1/me", headers=own)).status_code == 401

        await wait_until(over, 20, interval=0.1)
        ticket = (await client.post("/v1/tickets", json={"ttl_s": 1})).json()["ticket"]

        async def shut() -> bool:
            async with nobody.stream("GET", f"/v1/events?ticket={ticket}") as answer:
                return answer.status_code == 401

        await wait_until(shut, 20, interval=0.1)
