"""What the hot paths of storage cost: claims, outcomes and credentials by group commit, seals.

    PYTHONPATH=shared:services:. python tests/benchmarks/storage.py --database postgresql

Processor time is this process's own (all threads); on a busy machine it is the figure to trust.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection

from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import credentials, idempotency
from pywhatsweb_fleet.storage.credentials import Write
from pywhatsweb_fleet.storage.faults import Fenced
from pywhatsweb_fleet.storage.group_commit import group_commit
from pywhatsweb_fleet.storage.idempotency import Claim, Outcome
from pywhatsweb_fleet.storage.sealing import Cipher, Keyring, place
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.benchmarks.databases import database

COMMANDS = 10_000
BATCH = 256


def processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def timed(name: str, count: int, act: Callable[[], Awaitable[object]]) -> None:
    """Prints what each of ``count`` costs."""
    cpu, wall = processor(), time.perf_counter()
    await act()
    cpu, wall = processor() - cpu, time.perf_counter() - wall
    print(f"  {name:52} {cpu / count * 1e6:7.1f} µs of processor, {wall / count * 1e6:7.1f} µs of time each")


async def measure(store: Store) -> None:
    keyring = Keyring([bytes(range(32))])
    claims = [
        Claim("acme", f"s{n % 100}", f"order-{n}-paid", "0" * 32, n, 1, 10**13, f"3EB0{n:018}")
        for n in range(COMMANDS)
    ]
    steps = [
        Outcome("acme", f"s{n % 100}", f"order-{n}-paid", MessageStatus.QUEUED, 2) for n in range(COMMANDS)
    ]

    def write_many(conn: Connection, writes: Sequence[Write]) -> list[Fenced | None]:
        return credentials.write_many(conn, keyring, writes)

    async def claim_all() -> None:
        for first in range(0, COMMANDS, BATCH):
            await store.transact(idempotency.claim, claims[first : first + BATCH])

    async with group_commit(store) as group:
        await timed(f"claim, {BATCH} a transaction", COMMANDS, claim_all)
        await timed(
            "outcome, through GroupCommit.submit_to", COMMANDS,
            lambda: asyncio.gather(*(group.submit_to("acme", idempotency.outcome, step) for step in steps)),
        )  # fmt: skip
        await timed(
            "outcome, through GroupCommit.submit, one by one", COMMANDS // 5,
            lambda: asyncio.gather(*(group.submit("acme", idempotency.outcome, [s]) for s in steps[: COMMANDS // 5])),
        )  # fmt: skip
        await timed(
            "session key of 500 bytes, through submit_to", COMMANDS,
            lambda: asyncio.gather(*(
                group.submit_to(
                    "acme", write_many, Write("acme", f"s{n % 100}", 1, None, [("session", f"{n}", b"x" * 500)])
                )
                for n in range(COMMANDS)
            )),
        )  # fmt: skip
        times = []
        for n in range(200):
            began = time.perf_counter()
            await group.submit_to(
                "acme", idempotency.outcome, Outcome("acme", "s1", f"order-{n}-paid", MessageStatus.SENT, 3)
            )
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        print(f"  one write alone through GroupCommit: p50 {times[100]:.2f} ms, p99 {times[197]:.2f} ms")
    await timed("a transaction that does nothing", 2000, lambda: _nothing(store))


async def _nothing(store: Store) -> None:
    for _ in range(2000):
        await store.transact(lambda _conn: None)


def seals() -> None:
    cipher, value = Cipher(bytes(32)), b"x" * 500
    began = processor()
    sealed = [cipher.seal(value, place("acme", "s1", "session", str(n))) for n in range(COMMANDS)]
    middle = processor()
    for n, one in enumerate(sealed):
        cipher.open(one, place("acme", "s1", "session", str(n)))
    print(
        f"  seal {(middle - began) / COMMANDS * 1e6:.1f} µs, open {(processor() - middle) / COMMANDS * 1e6:.1f} µs"
    )


async def main(kind: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pww-bench-") as path, database(kind, Path(path)) as new:
        store = open_store(new())
        await store.migrate()
        print(kind)
        await measure(store)
        await store.close()
    seals()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asyncio.run(main(parser.parse_args().database))
