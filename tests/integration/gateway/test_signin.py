"""People at the dashboard's door: passwords, cookies, roles, and what other sites' pages get."""

from __future__ import annotations

from typing import Any

import httpx

from pywhatsweb_fleet.gateway.users import Users
from tests.integration.gateway.conftest import World
from tests.integration.gateway.test_rest import INFO, is_problem

ANA = {"user": "ana", "password": "correct horse", "role": "attendant", "name": "Ana"}


def signed(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, str]:
    """What a page sends with changes; the client keeps the cookie."""
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.cookies
    return {"X-CSRF-Token": answer.json()["csrf"]}


async def sign_in(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    fields = {"tenant": "demo", "user": "ana", "password": "correct horse"}
    return await client.post("/v1/signin", json=fields | more)


async def test_an_attendant_moves_chats_and_manages_nothing(world: World) -> None:
    """Who moved a chat is who signed in, whatever the page says; a change of the password ends what was open."""
    card = {"chat": {"key": "k"}, "session_id": "s1", "status": "active", "version": 1}
    await world.answers("chat.take", lambda _: card)
    await world.answers("session.list", lambda _: {"sessions": [INFO]})
    async with world.client() as admin, world.client(None) as page:
        assert (await admin.post("/v1/users", json=ANA)).status_code == 201
        is_problem(await admin.post("/v1/users", json=ANA), 409, "E_CONFLICT")
        token = signed(page, await sign_in(page))
        assert (await page.get("/v1/me")).json()["user"] == "ana"
        assert (await page.get("/v1/sessions")).status_code == 200
        move = {"chat": "k", "by": "somebody else"}
        is_problem(await page.post("/v1/chat/take", json=move), 403, "E_FORBIDDEN")
        is_problem(
            await page.post("/v1/chat/take", json=move, headers={"X-CSRF-Token": "x"}), 403, "E_FORBIDDEN"
        )
        await page.post("/v1/chat/take", json=move, headers=token)
        assert world.asked[-1][1]["by"] == "ana"
        is_problem(await page.post("/v1/sessions/s1/stop", headers=token), 403, "E_FORBIDDEN")
        is_problem(await page.get("/v1/users"), 403, "E_FORBIDDEN")
        is_problem(await page.post("/v1/users", json=ANA, headers=token), 403, "E_FORBIDDEN")
        await admin.post("/v1/users/ana", json={"role": "supervisor"})
        is_problem(await page.get("/v1/me"), 401, "E_AUTHENTICATION_FAILED")
        token = signed(page, await sign_in(page))
        assert "manage" in (await page.get("/v1/me")).json()["scopes"]
        assert (await admin.delete("/v1/users/ana")).status_code == 200
        is_problem(await page.get("/v1/me"), 401, "E_AUTHENTICATION_FAILED")
        is_problem(await admin.delete("/v1/users/ana"), 404, "E_USER_NOT_FOUND")


async def test_a_login_is_locked_after_wrong_passwords(world: World) -> None:
    """For the right one too; another replica knows it; somebody with the key unlocks it with a new password."""
    async with world.client() as admin, world.client(None) as page:
        await admin.post("/v1/users", json=ANA)
        for _ in range(5):
            is_problem(await sign_in(page, password="wrong"), 401, "E_AUTHENTICATION_FAILED")
        refused = is_problem(await sign_in(page), 429, "E_RATE_LIMITED")
        assert 0 < refused["details"]["retry_after_ms"] <= 60_000
        replica = Users(world.bus)
        assert (await replica._tries("demo", "ana"))[0].count == 5
        await admin.post("/v1/users/ana", json={"password": "another horse"})
        assert (await sign_in(page, password="another horse")).status_code == 200
        is_problem(await sign_in(page, tenant="acme"), 401, "E_AUTHENTICATION_FAILED")
        is_problem(await sign_in(page, user="nobody"), 401, "E_AUTHENTICATION_FAILED")
        is_problem(await sign_in(page, user="ana.*"), 400, "E_INVALID_FIELD")


async def test_other_ways_in_and_ways_that_are_none(world: World) -> None:
    """A key or a ticket gives a cookie with its own rights; another site's page, a forged cookie and a key as one do
    not."""
    async with world.client() as admin, world.client(None) as page:
        made = (await admin.post("/v1/keys", json={"name": "look", "scopes": ["read"]})).json()
        signed(page, await page.post("/v1/signin", json={"credential": made["key"]}))
        assert (await page.get("/v1/me")).json()["scopes"] == ["read"]
        ticket = (await admin.post("/v1/tickets")).json()["ticket"]
        token = signed(page, await page.post("/v1/signin", json={"credential": ticket}))
        assert "admin" in (await page.get("/v1/me")).json()["scopes"]
        assert (
            await page.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers=token)
        ).status_code == 201
        foreign = {"Origin": "https://evil.example"}
        is_problem(
            await page.post("/v1/signin", json={"credential": made["key"]}, headers=foreign),
            403,
            "E_FORBIDDEN",
        )
        own = {"Origin": world.url}
        assert (
            await page.post("/v1/signin", json={"credential": made["key"]}, headers=own)
        ).status_code == 200
        await page.post("/v1/signout")
        assert not page.cookies
    for value in (made["key"], ticket, "x.y.z"):
        async with world.client(None, Cookie=f"pww_dashboard={value}") as page:
            is_problem(await page.get("/v1/me"), 401, "E_AUTHENTICATION_FAILED")


async def test_the_pages_are_there_and_bring_nothing_from_elsewhere(world: World) -> None:
    async with world.client(None) as page:
        moved = await page.get("/")
        assert (moved.status_code, moved.headers["location"]) == (307, "/dashboard/")
        first = await page.get("/dashboard/")
        assert "<title>PyWhatsWeb</title>" in first.text
        assert "default-src 'none'" in first.headers["content-security-policy"]
        assert (await page.get("/dashboard/sessions")).text == first.text
        again = await page.get("/dashboard/", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert (await page.get("/dashboard/nothing.js")).status_code == 404
        assert (await page.get("/dashboard/../app.py")).status_code == 404
        assert (await page.get("/dashboard/%2e%2e/app.py")).status_code == 404
        assert (await page.post("/dashboard/")).status_code == 405
