"""Turns between tenants: counted, not timed."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb_runtime.turns import Pace, Turns

asks = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40)


async def settle() -> None:
    """Everybody who can go on has."""
    for _ in range(20):
        await asyncio.sleep(0)


@given(st.integers(1, 3), asks)
def test_a_place_goes_to_every_tenant_in_turn(places: int, asked: list[tuple[str, bool]]) -> None:
    """Whoever asks, however often, and whoever gives up: nobody waits while another has two turns, and none is lost."""

    async def run() -> None:
        turns, order, inside = Turns(places), [], 0
        begin = asyncio.Event()

        async def one(tenant: str) -> None:
            nonlocal inside
            async with turns.turn(tenant):
                inside += 1
                assert inside <= places
                await begin.wait()
                order.append(tenant)
                await asyncio.sleep(0)
                inside -= 1

        holders = [asyncio.create_task(one("first")) for _ in range(places)]
        await settle()
        tasks = [(tenant, gives_up, asyncio.create_task(one(tenant))) for tenant, gives_up in asked]
        await settle()
        for _, gives_up, task in tasks:
            if gives_up:
                task.cancel()
        begin.set()
        await asyncio.gather(*holders, *(task for *_, task in tasks), return_exceptions=True)
        waiting = [tenant for tenant, gives_up, _ in tasks if not gives_up]
        served = order[places:]
        assert sorted(served) == sorted(waiting)
        left = {tenant: waiting.count(tenant) for tenant in set(waiting)}
        while served:  # each round: once every tenant that still waits
            first, served = served[: len(left)], served[len(left) :]
            assert len(set(first)) == len(first)
            assert set(first) == left.keys()
            left = {tenant: count - 1 for tenant, count in left.items() if count > 1}

    asyncio.run(run())


async def test_a_turn_that_its_holder_does_not_want_any_more_goes_on() -> None:
    """Cancelled between being given the place and taking it."""
    turns, had = Turns(1), []

    async def one(name: str) -> None:
        async with turns.turn(name):
            had.append(name)

    async with turns.turn("a"):
        given_up, next_one = asyncio.create_task(one("b")), asyncio.create_task(one("c"))
        await settle()
    given_up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await given_up
    await next_one
    await one("d")
    assert had == ["c", "d"]


async def test_one_login_does_not_wait_behind_a_thousand() -> None:
    """A tenant starts all its sessions at once; the next one to connect is the other tenant's."""
    pace, order = Pace(2000.0), []

    async def connects(tenant: str) -> None:
        await pace.turn(tenant)
        order.append(tenant)

    many = [asyncio.create_task(connects("many")) for _ in range(200)]
    await settle()
    had = len(order)
    await connects("one")
    assert len(order) - had <= 3  # the one under way, one turn of theirs, and this
    await asyncio.gather(*many)
    assert order.count("many") == 200


async def test_without_a_rate_nobody_waits() -> None:
    """``PWW_CONNECTS_PER_SECOND=0``."""
    pace = Pace(0)
    await asyncio.gather(*(pace.turn("many") for _ in range(1000)))
