"""Messages in, a board that follows, moves by people: on a real broker and either database."""

from __future__ import annotations

import pytest

from pywhatsweb.errors import RequestError
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.kanban.conftest import Tenant
from tests.integration.persistence.traffic import contact, message, publish
from tests.support import wait_until

CHAT = contact(1)[0].key


async def test_a_chats_life(service: None, tenant: Tenant, publisher: Publisher, store: Store) -> None:
    """Opened by the customer, assigned, done, opened again by the customer; each step an event and kept."""
    await publish(publisher, message(1, who=1))
    await wait_until(lambda: tenant.of("chat", CHAT), message="the chat is opened")
    card = await tenant.ask("chat.assign", to="+5511900000001", owner_id="ana", by="chefe")
    assert (card.status, card.owner_id, card.assigned_by, card.version) == ("active", "ana", "chefe", 2)
    await publish(publisher, message(2, who=1, outbound=True))
    done = await tenant.ask("chat.done", chat=CHAT, by="ana", reason="resolvido", id="m1")
    assert (done.status, done.completed_by) == ("done", "ana")
    assert (await tenant.ask("chat.done", chat=CHAT, by="ana", id="m1")).version == done.version
    await publish(publisher, message(3, who=1, outbound=True), message(4, who=1))
    await wait_until(lambda: len(tenant.of("chat", CHAT)) == 4, message="the chat is opened again")
    steps = [
        (one["previous"], one["status"], one["owner_id"], one["reason"]) for one in tenant.of("chat", CHAT)
    ]
    assert steps == [
        (None, "new", None, None),
        ("new", "active", "ana", None),
        ("active", "done", "ana", "resolvido"),
        ("done", "new", None, "cliente_respondeu"),
    ]
    history = await tenant.ask("chat.history", chat=CHAT, limit=3)
    assert [one.change for one in history.changes] == ["reopened", "done", "assigned"]
    older = await tenant.ask("chat.history", chat=CHAT, cursor=history.cursor)
    assert [(one.change, one.version) for one in older.changes] == [("opened", 1)]
    kept = await store.read(audit.page, "acme")
    assert [one.entry.action for one in kept] == [
        "chat.reopened",
        "chat.done",
        "chat.assigned",
        "chat.opened",
    ]
    assert await store.read(audit.first_flaw, "acme") is None


async def test_what_is_refused(service: None, tenant: Tenant, publisher: Publisher) -> None:
    """An unknown chat, a stale version, a move that does not fit and a zone that there is not: each by its code."""
    await publish(publisher, message(1, who=1))
    await wait_until(lambda: tenant.of("chat", CHAT))
    await tenant.ask("chat.done", chat=CHAT)
    policy = {"hours": {"timezone": "Mars/Base"}}
    for verb, arguments, code in (
        ("chat.done", {"to": "+5511955555555"}, "E_CHAT_NOT_FOUND"),
        ("chat.reopen", {"chat": CHAT, "version": 1}, "E_CONFLICT"),
        ("chat.assign", {"chat": CHAT, "owner_id": "ana"}, "E_INVALID_TRANSITION"),
        ("policy.set", {"policy": policy}, "E_INVALID_FIELD"),
    ):
        with pytest.raises(RequestError) as refused:
            await tenant.ask(verb, **arguments)
        assert refused.value.code.wire == code


async def test_the_policy_and_the_team_change_while_it_runs(
    service: None, tenant: Tenant, publisher: Publisher
) -> None:
    """Chats go round among those with room; who leaves gives back, who comes gets what waits."""
    await tenant.ask("policy.set", policy={"assignment": "round_robin", "capacity": 2}, by="chefe")
    assert (await tenant.ask("policy.get")).policy.capacity == 2
    await tenant.ask("attendant.set", attendant_id="ana")
    await tenant.ask("attendant.set", attendant_id="bia")
    await publish(publisher, *(message(n, who=n) for n in range(5)))

    async def loads() -> dict[str, int]:
        return {one.attendant_id: one.open for one in (await tenant.ask("attendant.list")).attendants}

    async def both_full() -> bool:
        return await loads() == {"ana": 2, "bia": 2}

    await wait_until(both_full, 10)
    waiting = contact(4)[0].key
    await tenant.ask("chat.done", chat=contact(0)[0].key, by="ana")
    await wait_until(lambda: [one["owner_id"] for one in tenant.of("chat", waiting)] == [None, "ana"], 10)
    await tenant.ask("attendant.set", attendant_id="caio")
    await tenant.ask("attendant.set", attendant_id="bia", available=False)

    async def moved_on() -> bool:
        return await loads() == {"ana": 2, "bia": 0, "caio": 2}

    await wait_until(moved_on, 10)


async def test_notes_tags_and_a_snooze(service: None, tenant: Tenant, publisher: Publisher) -> None:
    """They are on the card, and the customer's next message ends the snooze."""
    await publish(publisher, message(1, who=1))
    await wait_until(lambda: tenant.of("chat", CHAT))
    await tenant.ask("chat.take", chat=CHAT, by="ana")
    await tenant.ask("chat.tag", chat=CHAT, add=["vip", "pt"], priority="high", by="ana")
    await tenant.ask("chat.note", chat=CHAT, text="ligou ontem", by="ana")
    card = await tenant.ask("chat.snooze", chat=CHAT, by="ana")
    assert (card.tags, card.priority, card.notes[0].text, card.snoozed) == (
        ["vip", "pt"],
        "high",
        "ligou ontem",
        True,
    )
    await publish(publisher, message(2, who=1))

    async def awake() -> bool:
        return not (await tenant.ask("chat.card", chat=CHAT)).snoozed

    await wait_until(awake, 10)
    assert (await tenant.ask("chat.release", chat=CHAT, by="ana")).status == "new"


async def test_timers_fire_once_with_two_replicas(
    replicas: None, tenant: Tenant, publisher: Publisher
) -> None:
    """A warning, an escalation and an end a chat, whoever looks."""
    policy = {
        "first_response": {"minutes": 0.02, "warn_at": 0.5}, "supervisor": "chefe",
        "done_after_hours": 0.001, "done_from": "open",
    }  # fmt: skip
    await publish(publisher, *(message(n, who=n) for n in range(10)))
    await wait_until(lambda: len(tenant.of("chat")) == 10, 10)
    await tenant.ask("policy.set", policy=policy)
    await wait_until(lambda: sum(one["status"] == "done" for one in tenant.of("chat")) == 10, 20)
    for n in range(10):
        key = contact(n)[0].key
        told = [(one["status"], one["reason"]) for one in tenant.of("chat", key)]
        assert told.count(("done", "inatividade_0.001h")) == 1
        assert told[-1][0] == "done"
        kinds = [one["kind"] for one in tenant.of("alert", key)]
        assert kinds.count("is_taking_too_long") <= 1
        assert kinds.count("deadline_near") <= 1
