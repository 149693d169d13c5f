"""Coalesced writes, on both databases."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError

from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.group_commit import group_commit
from pywhatsweb_fleet.storage.store import Store


def add(conn: Connection, tenant: str) -> str:
    """Insert a tenant."""
    conn.execute(
        text("INSERT INTO tenants (tenant, settings, created_at) VALUES (:tenant, '{}', 0)"),
        {"tenant": tenant},
    )
    return tenant.upper()


def add_many(conn: Connection, tenants: Sequence[str]) -> list[str | Exception]:
    """Insert tenants; those called no-… are refused singly."""
    return [LookupError(tenant) if tenant.startswith("no-") else add(conn, tenant) for tenant in tenants]


def names(conn: Connection) -> set[str]:
    return set(conn.execute(text("SELECT tenant FROM tenants")).scalars())


async def test_many_writes_share_few_commits(store: Store) -> None:
    """Each gets its own result, and 500 writes at once take a handful of transactions."""
    commits = 0

    def counted(_conn: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(store._write.engine, "commit", counted)
    async with group_commit(store) as group:
        results = await asyncio.gather(*(group.submit("acme", add, f"t{i}") for i in range(500)))
    assert results == [f"T{i}" for i in range(500)]
    assert len(await store.read(names)) == 500
    assert commits <= 3


async def test_one_that_fails_does_not_touch_the_others(store: Store) -> None:
    """A violated constraint and an exception of the function's own reach their callers alone."""
    await store.transact(add, "taken")
    async with group_commit(store) as group:
        results = await asyncio.gather(
            group.submit("acme", add, "a"),
            group.submit("acme", add, "taken"),
            group.submit_to("acme", add_many, "b"),
            group.submit_to("acme", add_many, "taken"),
            group.submit_to("acme", add_many, "no-c"),
            group.submit("acme", add, "d"),
            return_exceptions=True,
        )
    assert [r if isinstance(r, str) else type(r) for r in results] == [
        "A", IntegrityError, "B", IntegrityError, LookupError, "D",
    ]  # fmt: skip
    assert await store.read(names) == {"taken", "a", "b", "d"}


async def test_refusals_by_value_need_no_second_try(store: Store) -> None:
    """A bulk function that returns an exception for an item commits the others in the same transaction."""
    calls: list[int] = []

    def bulk(conn: Connection, tenants: Sequence[str]) -> list[str | Exception]:
        calls.append(len(tenants))
        return add_many(conn, tenants)

    async with group_commit(store) as group:
        results = await asyncio.gather(
            *(group.submit_to("acme", bulk, name) for name in ("x", "no-y", "z")), return_exceptions=True
        )
    assert calls == [3]
    assert [type(r) for r in results] == [str, LookupError, str]


async def test_a_commit_is_bounded_by_the_weight_of_its_items(store: Store) -> None:
    """Items that count for several writes: as many as fit, and one at least."""
    calls: list[list[str]] = []

    def bulk(conn: Connection, tenants: Sequence[str]) -> Sequence[str | Exception]:
        calls.append(list(tenants))
        return add_many(conn, tenants)

    async with group_commit(store, most=10) as group:
        weights = (4, 4, 4, 99, 1, 1)
        await asyncio.gather(
            *(group.submit_to("acme", bulk, f"t{n}", weight=w) for n, w in enumerate(weights))
        )
    assert calls == [["t0", "t1", "t2"], ["t3"], ["t4", "t5"]]


async def test_what_waits_is_bounded_and_a_cancelled_caller_leaves_its_place(store: Store) -> None:
    """Room for four: the fifth waits outside; cancelled writes that had not begun are not done."""
    async with group_commit(store, waiting=4) as group:
        callers = [asyncio.create_task(group.submit("acme", add, f"t{i}")) for i in range(10)]
        await asyncio.sleep(0)
        assert len(group._lines["acme"]) == 4
        callers[3].cancel()
        done = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(r, str) for r in done] == [i != 3 for i in range(10)]
    assert "t3" not in await store.read(names)


async def test_a_tenant_that_floods_makes_its_own_writes_wait(store: Store) -> None:
    """Whatever lies in its line, and whatever waits for room: each other tenant's first write is in the next commit."""
    commits: list[list[str]] = []

    def bulk(conn: Connection, tenants: Sequence[str]) -> Sequence[str | Exception]:
        commits.append(list(tenants))
        return add_many(conn, tenants)

    async with group_commit(store, most=10, waiting=100) as group:
        flood = [asyncio.create_task(group.submit_to("flood", bulk, f"f{n}")) for n in range(500)]
        await asyncio.sleep(0)
        quiet = [
            asyncio.create_task(group.submit_to(tenant, bulk, f"{tenant}-{n}"))
            for tenant in ("b", "c")
            for n in range(2)
        ]
        await asyncio.gather(*flood, *quiet)
    where = {name: number for number, names in enumerate(commits) for name in names}
    # One commit was under way and one was filled when the first places were given back; of 50 that the flood takes.
    assert all(where[f"{tenant}-{n}"] <= 2 for tenant in "bc" for n in range(2))
    assert len(commits) > 40
    assert [name for names in commits for name in names if name.startswith("f")] == [
        f"f{n}" for n in range(500)
    ]


async def test_closing_refuses_what_still_waits(store: Store) -> None:
    """Nobody is left waiting for ever."""
    async with group_commit(store) as group:
        caller = asyncio.create_task(group.submit("acme", add, "late"))
        await asyncio.sleep(0)
    for write in (caller, group.submit("acme", add, "later")):
        with pytest.raises(StorageUnavailable):
            await write
