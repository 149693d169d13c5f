"""Kills and replicas: each event at least once, in its chat's order, under one id."""

from __future__ import annotations

import random

import pytest

from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence.traffic import message, publish
from tests.integration.webhooks.conftest import Ask, Start
from tests.support import wait_until
from tests.support.receiver import Post, Receiver, Reply


def firsts(posts: list[Post]) -> list[int]:
    """The events in the order in which each came first."""
    return list(dict.fromkeys(int(post.json["data"]["id"][3:]) for post in posts))


@pytest.mark.parametrize("seed", [1])
async def test_kills_of_replicas_and_of_the_receiver(
    ask: Ask, publisher: Publisher, receiver: Receiver, start: Start, seed: int
) -> None:
    """600 events to a receiver that refuses some and goes away, from replicas that are killed -9."""
    dice = random.Random(seed)
    receiver.answer = lambda _: Reply(500 if dice.random() < 0.1 else 200)
    running = [start(), start()]

    async def made() -> bool:
        try:
            await ask("webhook.create", webhook_id="crm", url=receiver.url, types=["message"])
        except Exception:  # noqa: BLE001 - not there yet
            return False
        return True

    await wait_until(made, 30, interval=0.2, message="a replica answers")
    for begin in range(0, 600, 200):
        await publish(publisher, *(message(n, who=n % 10) for n in range(begin, begin + 200)))
        before = len(receiver.accepted)
        await wait_until(lambda before=before: len(receiver.accepted) > before + 20, 60)  # type: ignore[misc]
        victim = running.pop(0)
        victim.kill()
        victim.wait(10)
        await receiver.stop()
        running.append(start())
        await receiver.start()
    await wait_until(
        lambda: len(firsts(receiver.accepted)) == 600, 120, interval=0.2, message="all have come"
    )
    for who in range(10):
        mine = [n for n in firsts(receiver.accepted) if n % 10 == who]
        assert mine == sorted(mine)
    ids = {post.json["data"]["id"]: post.headers["webhook-id"] for post in receiver.posts}
    assert len(set(ids.values())) == len(ids) == 600
