"""The async client against a whole fleet with the simulated engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pywhatsweb import connect_local
from pywhatsweb.contracts.events import MessageEvent
from pywhatsweb.contracts.statuses import MessageStatus
from tests.support.running import Fleet


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running = Fleet(
        tmp_path_factory.mktemp("client"), "--engine", "simulated", "--no-sandbox", "--tenant", "demo"
    )
    running.start()
    yield running
    running.stop()


async def test_send_await_and_read_durably(simulated: Fleet) -> None:
    """Outcomes come as far as asked; a durable reader that comes later finds the messages; its place is kept."""
    async with connect_local("demo", ready_file=simulated.ready_file) as fleet:
        session = fleet.session("s1")
        await session.start()
        handles = [await session.send_text("+5511999990001", f"n {n}", id=f"n-{n}") for n in range(20)]
        found = await asyncio.gather(*(handle.outcome("read", timeout=40) for handle in handles))
        assert all(outcome.status is MessageStatus.READ and outcome.message_id for outcome in found)
        seen: list[str] = []
        for _ in range(2):
            async with fleet.durable(
                "crm", types=["message"], sessions=["s1"], start="all", batch=4
            ) as events:
                async for event in events:
                    assert isinstance(event, MessageEvent)
                    seen.append(event.data.content.body)
                    if len(seen) % 10 == 0:
                        break
        assert seen == [f"n {n}" for n in range(20)]
        assert [each.name for each in await fleet.consumers.list()] == ["crm"]
        assert (await fleet.health()).ok
        assert (await fleet.media.put(b"x", filename="x.txt")).size == 1
