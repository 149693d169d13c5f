"""Kills between the commit and the publish, and while a backlog is worked off."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb_fleet.kanban.board import Card, MessageIn, MessageOut
from pywhatsweb_fleet.kanban.policy import decide
from pywhatsweb_fleet.kanban.recording import card_of
from pywhatsweb_fleet.storage import kanban
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.kanban.conftest import Start, Tenant
from tests.integration.persistence.traffic import BASE_MS, contact, message, publish
from tests.support import wait_until

DIES = """
import os, signal, sys
from pywhatsweb_fleet.kanban import outbox
from pywhatsweb_fleet.kanban.__main__ import main
async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
outbox.Outbox.{where} = die
sys.exit(main())
"""


async def test_a_kill_between_commit_and_publish_loses_and_repeats_nothing(
    tenant: Tenant, publisher: Publisher, store: Store, database_url: str, start: Start
) -> None:
    """The next replica publishes what was committed, under the same id, and the event comes once."""
    await publish(publisher, message(1, who=1))
    dying = start(database_url, DIES.format(where="_publish"))
    await wait_until(lambda: dying.poll() is not None, 90, message="the replica died at its publish")
    assert tenant.of("chat") == []
    assert len(await store.read(kanban.waiting, "acme", 9)) == 1
    start(database_url)
    await wait_until(lambda: tenant.of("chat"), 90, message="the next one publishes")

    async def emptied() -> bool:
        return not await store.read(kanban.waiting, "acme", 9)

    await wait_until(emptied, 60)
    assert len(tenant.of("chat")) == 1


@pytest.mark.parametrize(
    ("size", "chats", "kills"),
    [(400, 20, 4), pytest.param(100_000, 500, 12, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])],
)
async def test_three_replicas_and_kills_give_the_board_of_a_replay(  # noqa: PLR0917 - fixtures
    size: int,
    chats: int,
    kills: int,
    tenant: Tenant,
    publisher: Publisher,
    store: Store,
    database_url: str,
    start: Start,
) -> None:
    """Messages of many chats while replicas are killed at random: each card is what one pass over the log gives."""
    chance = random.Random(7)
    log = [message(n, who=chance.randrange(chats), outbound=chance.random() < 0.3) for n in range(size)]
    running = [start(database_url) for _ in range(3)]
    cuts = [0, *sorted(chance.sample(range(size // 10, size), kills - 1)), size]
    for begin, end in pairwise(cuts):
        for some in range(begin, end, 500):
            await publish(publisher, *log[some : min(some + 500, end)])
        await wait_until(lambda: tenant.of("chat"), 90)
        victim = running.pop(chance.randrange(3) if size > 400 else 0)
        victim.kill()
        victim.wait(30)
        running.append(start(database_url))
    cards: dict[str, Card | None] = {}
    for event in log:
        data, at = event.data, BASE_MS + int(event.data.id[3:])
        key = data.chat.key
        said = MessageOut(event.id, at, data.chat) if data.from_self else MessageIn(event.id, at, data.chat)
        cards[key] = decide(cards.get(key), Policy(), said, {}, "s1").card

    async def board() -> dict[str, Card | None]:
        rows = [await store.read(kanban.card, "acme", contact(n)[0].key, "s1") for n in range(chats)]
        return {row.chat: card_of(row) for row in rows if row is not None}

    async def same() -> bool:
        return await board() == {key: card for key, card in cards.items() if card is not None}

    await wait_until(same, 120 + size / 100, interval=0.2, message="the board equals the replay")
    expected = sum(card.version for card in cards.values() if card is not None)
    await wait_until(lambda: len(tenant.of("chat")) >= expected, 60)
    assert len(tenant.of("chat")) == expected
