"""A day's allowances: counted where the commands are claimed, so neither a restart nor a repeat changes the count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb_fleet.storage import usage
from pywhatsweb_fleet.storage.store import open_store
from tests.support import NatsServer
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Midnight does not come in the middle of a test."""
    day: Callable[[int], int] = lambda _now: 20_000  # noqa: E731 - a stand-in
    monkeypatch.setattr(usage, "day_of", day)
    monkeypatch.setattr(usage, "left_of_day_ms", lambda _now: usage.DAY_MS // 2)


async def counts(directory: Path) -> dict[tuple[str, str], int]:
    store = open_store(f"sqlite:///{directory / 'fleet.db'}")
    try:
        return await store.read(usage.of_day, "acme", 20_000)
    finally:
        await store.close()


async def refusal(user: User, command_id: str) -> dict[str, Any]:
    (event,) = await user.told(command_id, "rejected", timeout=20)
    error: dict[str, Any] = event["data"]["error"]
    assert error["code"] == "E_QUOTA_EXCEEDED"
    details: dict[str, Any] = error["details"]
    return details


async def test_a_days_commands_outlive_a_restart(nats_server: NatsServer, tmp_path: Path) -> None:
    """Three a day, two of one session: repeats count once, and another dispatcher goes on counting."""
    async with platform(nats_server.url, "acme", commands_per_day=3, session_commands_per_day=2) as (
        _,
        [tenant],
    ):
        await tenant.wish("s1")
        await tenant.wish("s2")
        user = User(tenant)
        async with dispatcher(nats_server.url, tmp_path):
            for command_id in ("c1", "c2"):
                await user.publish(text(id=command_id))
                await user.told(command_id, "accepted", timeout=20)
            await user.publish(text(id="c1"))
            await user.publish(text(id="c3"))
            assert await refusal(user, "c3") == {
                "quota": "session_commands_per_day",
                "limit": 2,
                "retry_after_ms": usage.DAY_MS // 2,
            }
        async with dispatcher(nats_server.url, tmp_path):
            await user.publish(text(id="d1"), "s2")
            await user.told("d1", "accepted", timeout=20)
            await user.publish(text(id="d2"), "s2")
            assert (await refusal(user, "d2"))["quota"] == "commands_per_day"
    assert await counts(tmp_path) == {
        ("s1", "commands"): 2,
        ("s1", "refused"): 1,
        ("s2", "commands"): 1,
        ("s2", "refused"): 1,
    }


async def test_new_contacts_are_counted_once(nats_server: NatsServer, tmp_path: Path) -> None:
    """Two people a day: further messages to them are free, a third person is refused, in one batch or in several."""
    async with platform(nats_server.url, "acme", new_contacts_per_day=2) as (_, [tenant]):
        await tenant.wish("s1")
        user = User(tenant)
        people = [f"+551199999000{number}" for number in (1, 2, 1, 3, 2, 1)]
        for number, to in enumerate(people):  # they wait for the dispatcher, so they come as one batch
            await user.publish(text(id=f"c{number}", to=to))
        async with dispatcher(nats_server.url, tmp_path):
            for number in (0, 1, 2, 4, 5):
                await user.told(f"c{number}", "accepted", timeout=20)
            assert (await refusal(user, "c3"))["quota"] == "new_contacts_per_day"
            await user.publish(text(id="again", to=people[0]))
            await user.told("again", "accepted", timeout=20)
            await user.publish(text(id="more", to="+5511999990009"))
            assert (await refusal(user, "more"))["limit"] == 2
    assert await counts(tmp_path) == {("-", "commands"): 6, ("-", "new_contacts"): 2, ("-", "refused"): 2}


async def test_new_contacts_of_a_session_are_its_own(nats_server: NatsServer, tmp_path: Path) -> None:
    """One a day each: whom another session knows is new all the same, a refusal uses nothing up, and a dispatcher
    that was stopped goes on counting."""
    async with platform(nats_server.url, "acme", session_new_contacts_per_day=1) as (_, [tenant]):
        await tenant.wish("s1")
        await tenant.wish("s2")
        user = User(tenant)
        one, two = "+5511999990001", "+5511999990002"
        for name, session, to in (("a1", "s1", one), ("a2", "s1", two), ("a3", "s1", one), ("b1", "s2", one)):
            await user.publish(text(id=name, to=to), session)  # in one batch
        async with dispatcher(nats_server.url, tmp_path):
            for name in ("a1", "a3", "b1"):
                await user.told(name, "accepted", timeout=60)
            assert await refusal(user, "a2") == {
                "quota": "session_new_contacts_per_day",
                "limit": 1,
                "retry_after_ms": usage.DAY_MS // 2,
            }
        async with dispatcher(nats_server.url, tmp_path):
            await user.publish(text(id="b2", to=two), "s2")
            assert (await refusal(user, "b2"))["quota"] == "session_new_contacts_per_day"
            await user.publish(text(id="b3", to=one), "s2")
            await user.told("b3", "accepted", timeout=60)
    assert await counts(tmp_path) == {
        ("-", "commands"): 4,
        ("-", "refused"): 2,
        ("s1", "session_new_contacts"): 1,
        ("s2", "session_new_contacts"): 1,
    }
