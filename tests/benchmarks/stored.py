"""Bytes that a message leaves behind: in the broker's streams and in PostgreSQL, kept and written.

    PYTHONPATH=shared:services:. python tests/benchmarks/stored.py [--commands 4000]

The whole path through real processes with the simulated engine: first texts that are only sent and read, then as many
whose contacts answer; what the second takes more is what an inbound message takes. Commands and queues are empty again
in the end, so what is kept is the events (for the tenant's `events_age`) and the record (for its periods). "Written" is
what goes through the disk meanwhile: of nats-server its files' growth and what they replace, of PostgreSQL its WAL.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import publishing
from tests.benchmarks import rig
from tests.benchmarks.databases import database
from tests.benchmarks.ingest import WORDS

SESSIONS = 40
CONTACTS = 25
DEADLINE_S = 600
SETTINGS = {"pair_after_ms": 0, "delivered_ms": 5, "read_ms": 10}
_TABLES = """
SELECT coalesce(p.relname, c.relname), sum(pg_total_relation_size(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE n.nspname = 'public' AND c.relkind = 'r' GROUP BY 1
"""
_RECORDED = "SELECT (SELECT count(*) FROM statuses WHERE status = 'read'), (SELECT count(*) FROM messages)"

Sizes = dict[str, float]


class Fleet:
    def __init__(self, made: rig.Rig, bus: Bus, tenant: TenantId, url: str) -> None:
        self._made, self._bus, self._tenant = made, bus, tenant
        self._database = psycopg.connect(url, autocommit=True)
        self._runs = 0

    async def send(self, sessions: list[str], count: int, answers: int) -> Sizes:
        """What so many texts leave, each, when all of it is on record; ``answers``: of their contacts."""
        self._runs += 1
        reads, messages = self._recorded()
        before = await self._sizes()
        dice = random.Random(self._runs)
        async with publishing(self._bus, in_flight=256, deadline_s=60) as publisher:
            for number in range(count):
                name = f"r{self._runs}-{number}"
                to = f"+55119999{number % CONTACTS:05}"
                text = " ".join(dice.choices(WORDS, k=8))
                body = {"id": name, "to": to, "type": "text", "text": {"body": text}}
                subject = subjects.command(self._tenant, SessionId(sessions[number % len(sessions)]))
                await publisher.submit(subject, msgspec.msgpack.encode(body), {"Nats-Msg-Id": name})
        deadline = time.monotonic() + DEADLINE_S
        while self._recorded() != (reads + count, messages + count + answers):
            assert time.monotonic() < deadline, f"not all is on record: {self._recorded()}"
            await asyncio.sleep(0.5)
        await asyncio.sleep(3)  # the board and the acknowledgements follow
        after = await self._sizes()
        return {name: (after[name] - before.get(name, 0)) / count for name in after}

    def _recorded(self) -> tuple[int, int]:
        """Statuses "read", and messages."""
        ((reads, messages),) = self._database.execute(_RECORDED).fetchall()
        return reads, messages

    async def _sizes(self) -> Sizes:
        self._database.execute("CHECKPOINT")
        found: Sizes = {
            f"database, {table}": float(size) for table, size in self._database.execute(_TABLES).fetchall()
        }
        found["database, all tables"] = sum(found.values())
        wal = self._database.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
        found["database, written (WAL)"] = float(wal[0]) if wal else 0.0
        for name in (await self._bus.api("STREAM.NAMES"))["streams"]:
            state: dict[str, Any] = (await self._bus.api(f"STREAM.INFO.{name}"))["state"]
            found[f"broker, {name}"] = state["bytes"]
        found["broker, files"] = _used(self._made.directory / "nats" / "store")
        found["broker, written"] = psutil.Process(self._made.broker.pid).io_counters().write_bytes
        return found


def _used(directory: Path) -> float:
    """Bytes of its files on disk."""
    return float(sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file()))


async def run(count: int) -> tuple[Sizes, Sizes]:
    """Bytes of a text that is sent, and of one that is answered too."""
    with rig.rig() as made, database("postgresql", made.directory) as new_database:
        url = new_database()
        store = {"PWW_DATABASE_URL": url}
        made.start("dispatcher", **store)
        made.start("session_worker", PWW_ENGINES="simulated", PWW_CONNECTS_PER_SECOND="0", **store)
        made.start("persistence", **store)
        made.start("kanban", **store)
        async with rig.bus_of(made) as bus:
            (tenant,) = await rig.make_tenants(bus, 1)
            quiet, talking = ([f"{kind}{n}" for n in range(SESSIONS)] for kind in ("quiet", "talking"))
            keys: list[tuple[str, str]] = [(tenant, name) for name in quiet]
            await rig.make_sessions(bus, keys, {"simulated": SETTINGS})
            others: list[tuple[str, str]] = [(tenant, name) for name in talking]
            echo = {"simulated": SETTINGS | {"echo_ms": 20}}
            await rig.make_sessions(bus, others, echo, expected=[*keys, *others])
            fleet = Fleet(made, bus, tenant, url)
            await fleet.send(quiet, SESSIONS * CONTACTS, 0)  # every chat and queue is there
            await fleet.send(talking, SESSIONS * CONTACTS, SESSIONS * CONTACTS)
            return await fleet.send(quiet, count, 0), await fleet.send(talking, count, count)


def show(sent: Sizes, answered: Sizes) -> None:
    rows = []
    for name in sorted(sent.keys() | answered.keys()):
        one, both = sent.get(name, 0.0), answered.get(name, 0.0)
        if max(one, both) >= 1:
            rows.append((name, f"{one:7.0f} B sent   {both - one:7.0f} B received"))
    rig.table("bytes a message leaves", rows)


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=4000)
    show(*uvloop.run(run(parser.parse_args().commands)))


if __name__ == "__main__":
    main()
