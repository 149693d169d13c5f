"""Durable readers of events, made for a tenant by the control plane."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pywhatsweb.contracts import consumer_data as cd
from tests.support import NatsServer
from tests.support.dispatching import User, dispatcher
from tests.support.fleet import platform


@pytest.fixture
async def user(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[User]:
    async with (
        platform(nats_server.url, "acme", sessions=1) as (_, [tenant]),
        dispatcher(nats_server.url, tmp_path),
    ):
        yield User(tenant)


async def test_create_find_change_list_delete(user: User) -> None:
    """The same name is the same reader, whatever its start says; its filters may change; the fleet's are not shown."""
    made = (await user.ask("consumer.create", name="crm", start="all", types=["message"]))["data"]
    assert (made["name"], made["stream"], made["durable"]) == ("crm", "WA_EVT_acme", "user-crm")
    again = await user.ask("consumer.create", name="crm", types=["message", "status"], sessions=["s1"])
    assert again["ok"], again
    assert again["data"]["types"] == ["message", "status"]
    assert again["data"]["created_at"] == made["created_at"]
    await user.tenant.bus.api(
        "CONSUMER.CREATE.WA_EVT_acme.persistence",
        {
            "stream_name": "WA_EVT_acme",
            "config": {"durable_name": "persistence", "ack_policy": "explicit"},
        },
    )
    told = (await user.ask("consumer.list"))["data"]["consumers"]
    assert [each["name"] for each in told] == ["crm"]
    refused = await user.ask("consumer.delete", name="persistence")
    assert refused["error"]["code"] == "E_CONSUMER_NOT_FOUND"
    assert (await user.ask("consumer.delete", name="crm"))["ok"]
    assert (await user.ask("consumer.list"))["data"]["consumers"] == []


async def test_limits_and_names(user: User) -> None:
    """A tenant has so many at most; names and filters are checked before they reach JetStream."""
    for n in range(cd.MAX_CONSUMERS):
        assert (await user.ask("consumer.create", name=f"c{n}"))["ok"]
    over = await user.ask("consumer.create", name="one-more")
    assert over["error"]["code"] == "E_QUOTA_EXCEEDED"
    assert (await user.ask("consumer.create", name="c1"))["ok"]
    for arguments in (
        {"name": "a.b"},
        {"name": "x", "sessions": ["*"]},
        {"name": "x", "types": [">"]},
        {"name": "x", "start": "sequence"},
        {"name": "x", "types": ["qr"] * 9, "sessions": ["s1"] * 9},
    ):
        told = await user.ask("consumer.create", **arguments)
        assert told["error"]["http_status"] == 400, (arguments, told)


async def test_only_events_are_read(user: User) -> None:
    """Ownership and present state lie in the same stream, and are not a tenant's to read."""
    await user.ask("consumer.create", name="all", start="all")
    info = await user.tenant.bus.api("CONSUMER.INFO.WA_EVT_acme.user-all")
    filters = info["config"].get("filter_subjects") or [info["config"]["filter_subject"]]
    assert filters == ["wa.evt.acme.*.*.*"]
