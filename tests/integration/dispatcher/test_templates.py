"""Templates through a running dispatcher: kept, listed and sent as what they come to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.store import open_store
from tests.support import NatsServer
from tests.support.dispatching import User, dispatcher
from tests.support.fleet import platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    async with platform(nats_server.url, "acme") as (_, [tenant]):
        await tenant.wish("s1")
        async with dispatcher(nats_server.url, tmp_path):
            yield User(tenant)


def command(name: str, language: str = "pt_BR", **more: Any) -> dict[str, Any]:
    template = {"name": name, "language": {"code": language}, **more.pop("template", {})}
    return {"to": "+5511999990001", "type": "template", "template": template, **more}


async def ask(user: User, verb: str, **fields: Any) -> Any:
    answer = await user.ask(verb, **fields)
    assert answer["ok"], answer
    return answer["data"]


async def refusal(user: User, verb: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    answer = await user.ask(verb, **fields)
    assert not answer["ok"]
    return answer["error"]["code"], answer["error"]["details"]


async def test_a_template_is_sent_as_what_it_says(user: User) -> None:
    """In the language that the command names; the queue has a text, and the same command again is a repeat."""
    await ask(user, "template.put", name="pago", language="pt_BR", body="Olá, {{nome}}!", by="ana")
    await ask(user, "template.put", name="pago", language="en", body="Hello, {{nome}}!")
    for at, language in enumerate(("pt_BR", "en")):
        body = command("pago", language, id=f"c{at}", template={"variables": {"nome": "Ana"}})
        await user.publish(body)
        await user.told(f"c{at}", "accepted")
    await user.publish(command("pago", id="c0", template={"variables": {"nome": "Ana"}}), headers={"x": "1"})
    texts = [msgspec.msgpack.decode(waiting.data) for waiting in await user.outbox()]
    assert [one["text"]["body"] for one in texts] == ["Olá, Ana!", "Hello, Ana!"]
    assert all(one["type"] == "text" and "template" not in one for one in texts)


async def test_each_thing_that_is_missing_has_a_code(user: User) -> None:
    """Rejected before it is queued, with what there is instead; later it can be sent under the same id."""
    await ask(user, "template.put", name="pago", language="pt_BR", body="Olá, {{nome}}!")
    for at, (name, language, code) in enumerate((
        ("nada", "pt_BR", "E_TEMPLATE_NOT_FOUND"),
        ("pago", "fr", "E_TEMPLATE_LANGUAGE"),
        ("pago", "pt_BR", "E_TEMPLATE_VARIABLE"),
    )):  # fmt: skip
        await user.publish(command(name, language, id=f"bad-{at}"))
        assert await user.refused(f"bad-{at}") == code
    (event,) = await user.told("bad-1", "rejected")
    assert event["data"]["error"]["details"] == {"languages": ["pt_BR"]}
    assert await user.outbox() == []


async def test_a_scheduled_one_says_what_the_template_said_then(user: User) -> None:
    """It is rendered when it is accepted."""
    from tests.integration.dispatcher.test_commands import iso

    await ask(user, "template.put", name="aviso", language="pt_BR", body="antes")
    await user.publish(command("aviso", id="later", send_at=iso(2)))
    await user.told("later", "accepted")
    await ask(user, "template.put", name="aviso", language="pt_BR", body="depois")
    await user.told("later", "accepted", "queued", timeout=30)
    (waiting,) = await user.outbox()
    assert msgspec.msgpack.decode(waiting.data)["text"]["body"] == "antes"


async def test_they_are_kept_listed_shown_and_deleted(user: User, tmp_path: Path) -> None:
    """Versions count, pages follow one another, and who changed what is on record."""
    assert await refusal(user, "template.get", name="a") == ("E_TEMPLATE_NOT_FOUND", {})
    for name, language in (("a", "en"), ("a", "pt_BR"), ("b", "en")):
        found = await ask(
            user, "template.put", name=name, language=language, body=f"{name} {{{{x}}}}", by="ana"
        )
        assert found["version"] == 1
    again = await ask(
        user, "template.put", name="a", language="en", body="new {{x}}", examples={"x": "1"}, by="bia"
    )
    assert (again["version"], again["changed_by"], again["variables"]) == (2, "bia", ["x"])
    first = await ask(user, "template.list", limit=2)
    rest = await ask(user, "template.list", limit=2, cursor=first["cursor"])
    names = [(one["name"], one["language"]) for one in first["templates"] + rest["templates"]]
    assert names == [("a", "en"), ("a", "pt_BR"), ("b", "en")]
    assert rest["cursor"] is None
    assert (await refusal(user, "template.get", name="a"))[0] == "E_TEMPLATE_LANGUAGE"
    assert (await ask(user, "template.preview", name="a", language="en"))["content"] == {"body": "new 1"}
    missing = await refusal(user, "template.preview", name="b")
    assert missing == ("E_TEMPLATE_VARIABLE", {"variable": "x", "component": "body"})
    assert await ask(user, "template.delete", name="a", by="ana") == {
        "name": "a",
        "languages": ["en", "pt_BR"],
    }
    assert [one["name"] for one in (await ask(user, "template.list"))["templates"]] == ["b"]
    assert (await refusal(user, "template.put", name="c", language="en", body="{{2}}"))[
        0
    ] == "E_INVALID_TEMPLATE"
    store = open_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    try:
        trail = await store.read(lambda conn: [one.entry for one in audit.page(conn, "acme")])
    finally:
        await store.close()
    told = [(one.actor, one.action) for one in trail if one.action.startswith("template.")]
    assert sorted(told) == sorted(
        [("ana", "template.put")] * 3 + [("bia", "template.put")] + [("ana", "template.delete")] * 2
    )
