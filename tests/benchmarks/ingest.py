"""Events of a real stream into the record, against the same rows written bare in the same run.

    PYTHONPATH=shared:services:. python tests/benchmarks/ingest.py --database sqlite --events 200000

Two thirds messages, one third statuses, 2,000 chats, one tenant, texts of 8 words of which some are frequent and most
rare, over 30 days. "Bare" is executemany (SQLite) or COPY (PostgreSQL) of the rows that all this leaves (messages,
statuses, chats, contacts), already made, into the same tables with their indexes, search among them: once in one
transaction, and once in transactions as large as the service's. Trust the ratio, not the rates.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import psutil
from sqlalchemy import Connection, Table, func, select

from pywhatsweb.contracts import control, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.streams import TenantLimits
from pywhatsweb_fleet.persistence.rows import Rows, Told, rows_of
from pywhatsweb_fleet.storage import boards, conversation
from pywhatsweb_fleet.storage.boards import Activity
from pywhatsweb_fleet.storage.conversation import MessageRow, StatusRow
from pywhatsweb_fleet.storage.partitions import make_ahead
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_fleet.storage.tables import messages, statuses
from pywhatsweb_runtime.bus import ApiError, BrokerSettings, Bus, connect
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.provision import ensure_platform, ensure_tenant
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.registry import TenantRecord
from pywhatsweb_runtime.registry import encode as encode_record
from tests.benchmarks.databases import database
from tests.integration.persistence import traffic
from tests.support import running_nats_server

CHATS = 2000
BATCH = 1000
DAYS = 30
WORDS = [f"palavra{n}" if n % 7 else f"açaí{n}" for n in range(20_000)]
FREQUENCY = list(accumulate(1 / (n + 3) for n in range(len(WORDS))))


def text_of(n: int) -> str:
    """Eight words; the most frequent one is in every third text."""
    return " ".join(random.Random(n).choices(WORDS, cum_weights=FREQUENCY, k=8))


def event(n: int, count: int) -> Any:
    """Event n of so many: message, answer, its status."""
    at = traffic.BASE_MS + n * DAYS * 86_400_000 // count
    if n % 3 == 2:
        told = traffic.status(n - 1, "sent")
        return msgspec.structs.replace(told, timestamp=timestamp(at))
    told = traffic.message(n, who=n * 7919 % CHATS, outbound=n % 3 == 1, body=text_of(n))
    data = msgspec.structs.replace(told.data, sent_at=timestamp(at))
    return msgspec.structs.replace(told, timestamp=timestamp(at), data=data)


async def prepare(bus: Bus, count: int) -> None:
    """The stream, full."""
    record = TenantRecord(key=traffic.KEY, limits=TenantLimits(events_bytes=8 << 30))
    await ensure_platform(bus)
    await ensure_tenant(bus, TenantId("acme"), record.limits)
    await Bucket(bus, "WA_TENANTS").put("acme", encode_record(record))
    async with publishing(bus, in_flight=1024, deadline_s=60) as publisher:
        for first in range(0, count, 2000):
            await traffic.publish(
                publisher, *(event(n, count) for n in range(first, min(first + 2000, count)))
            )


def batches(count: int) -> Iterator[Rows]:
    """What the service has to write, in its portions."""
    for first in range(0, count, BATCH):
        yield rows_of(
            Told(subjects.EventSubject("acme", "s1", "", ""), event(n, count))
            for n in range(first, min(first + BATCH, count))
        )


def write_bare(conn: Connection, table: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """executemany or COPY."""
    names = ", ".join(columns)
    if conn.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        conn.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", [tuple(row) for row in rows])  # noqa: S608
        return
    cursor = conn.connection.cursor()
    with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


class Bare:
    """Writes, and keeps the time that only the writing took."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.chats: dict[Any, Activity] = {}
        self.people: dict[str, tuple[str, str]] = {}

    def portion(self, conn: Connection, rows: Rows) -> None:
        for key, activity in rows.activities.items():
            old = self.chats.get(key)
            self.chats[key] = activity if old is None else boards.later(old, activity)
        self.people |= {f"pn:{one.pn}": (one.pn or "", one.name or "") for one in rows.sightings}
        said = sorted(rows.messages.values(), key=lambda row: row.recorded_at)
        told = sorted(rows.statuses.values(), key=lambda row: row.recorded_at)
        began = time.perf_counter()
        write_bare(conn, "messages", MessageRow._fields, said)
        write_bare(conn, "statuses", StatusRow._fields, told)
        self.seconds += time.perf_counter() - began

    def rest(self, conn: Connection) -> None:
        """Chats and contacts as they are at the end."""
        began = time.perf_counter()
        columns = ("tenant", "session", "chat", "pn", "last_at", "last_inbound_at", "last_outbound_at", "status_at",
                   "assigned_at", "completed_at")  # fmt: skip
        write_bare(conn, "chats", columns, [
            (*one[:4], max(one[6:]), *one[6:], 0, 0, 0) for one in self.chats.values()
        ])  # fmt: skip
        write_bare(conn, "contacts", ("tenant", "address", "pn", "name", "named_at"), [
            ("acme", address, *who, traffic.BASE_MS) for address, who in self.people.items()
        ])  # fmt: skip
        self.seconds += time.perf_counter() - began

    def all(self, conn: Connection, count: int) -> None:
        for rows in batches(count):
            self.portion(conn, rows)
        self.rest(conn)


async def bare(url: str, count: int, *, whole: bool) -> float:
    """Events a second, in one transaction or in portions; the time to make the rows is not in it."""
    store = open_store(url, deadline_s=7200)
    await store.migrate()
    await store.transact(make_ahead, traffic.BASE_MS)
    writing = Bare()
    commit = 0.0
    if whole:
        await store.transact(writing.all, count)
    else:
        for rows in batches(count):
            before, began = writing.seconds, time.perf_counter()
            await store.transact(writing.portion, rows)
            commit += time.perf_counter() - began - (writing.seconds - before)
        await store.transact(writing.rest)
    await store.close()
    return count / (writing.seconds + commit)


async def ingest(bus: Bus, nats_url: str, url: str, count: int, replicas: int) -> tuple[float, list[float]]:
    """Events a second of the service, and its resident memory over time in MiB."""
    store = open_store(url)
    await store.migrate()
    await store.transact(make_ahead, traffic.BASE_MS)
    environ = os.environ | {"PWW_NATS_URL": nats_url, "PWW_DATABASE_URL": url}
    services = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, "-m", "pywhatsweb_fleet.persistence"], env=environ
        )
        for _ in range(replicas)
    ]
    try:
        began, base, rate, memory = 0.0, 0, 0.0, []
        while True:
            await asyncio.sleep(0.1)
            try:
                info = await bus.api("CONSUMER.INFO.WA_EVT_acme.persistence")
            except ApiError:
                continue  # the durable is not there yet
            done = info["delivered"]["stream_seq"] - info["num_ack_pending"]
            if not began and done > 0:
                began, base = time.perf_counter(), done
            memory.append(max(psutil.Process(service.pid).memory_info().rss for service in services) / 2**20)
            if info["num_pending"] == 0 and info["num_ack_pending"] == 0 and began:
                rate = (count - base) / (time.perf_counter() - began)
                spent = sum(sum(psutil.Process(service.pid).cpu_times()[:2]) for service in services)
                print(
                    f"  the service's own processor time: {spent / count * 1e6:.0f} µs an event, its start included"
                )
                break
        found = [await store.read(rows_of_table, table) for table in (messages, statuses)]
        assert sum(found) == count, f"{found} rows for {count} events"
        await questions(bus, store, count)
        return rate, memory
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait()
        await store.close()


def rows_of_table(conn: Connection, table: Table) -> int:
    return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


async def questions(bus: Bus, store: Store, count: int) -> None:
    """p50 and p99 of the record's questions, one after another."""
    rng = random.Random(1)

    async def ask(verb: str, args: Any) -> None:
        noun, _, does = verb.partition(".")
        answer = await bus.request(subjects.control(TenantId("acme"), noun, does), encode(args))
        control.read_reply(answer.data, control.VERBS[verb].result)

    def some() -> tuple[Any, Any]:
        return traffic.contact(rng.randrange(CHATS))

    async def search(words: str, **more: Any) -> None:
        await ask("message.search", r.MessageSearch(query=words, limit=50, **more))

    asked = {
        "chat.messages": lambda: ask("chat.messages", d.ChatMessages(chat=some()[0].key, limit=50)),
        "chat.messages by number": lambda: ask("chat.messages", d.ChatMessages(to=some()[1].pn, limit=50)),
        "chat.list": lambda: ask("chat.list", d.ChatList(limit=50)),
        "contact.get": lambda: ask("contact.get", d.ContactRef(phone_number=some()[1].pn)),
        "search, a frequent word": lambda: search(WORDS[rng.randrange(5)]),
        "search, a rare word": lambda: search(WORDS[rng.randrange(1000, 20_000)]),
        "search, two words": lambda: search(f"{WORDS[rng.randrange(20)]} {WORDS[rng.randrange(200)]}"),
        "search, a beginning": lambda: search(WORDS[rng.randrange(100, 999)][:-1] + "*"),
        "search, in a chat": lambda: search(WORDS[rng.randrange(50)], chat=some()[0].key),
        "by command id (storage)": lambda: store.read(
            conversation.command_history, "acme", f"cmd{rng.randrange(count // 3) * 3 + 1}"
        ),
    }
    for name, question in asked.items():
        times = []
        for _ in range(300):
            began = time.perf_counter()
            await question()
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        print(f"  {name:26} p50 {times[150]:6.2f} ms   p99 {times[296]:6.2f} ms")


async def measure(kind: str, count: int, replicas: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pww-bench-") as path,
        running_nats_server(Path(path) / "nats") as server,
        database(kind, Path(path)) as new,
    ):
        async with connect(BrokerSettings(nats_url=server.url), name="bench") as bus:
            await prepare(bus, count)
            whole = await bare(new(), count, whole=True)
            parts = await bare(new(), count, whole=False)
            rate, memory = await ingest(bus, server.url, new(), count, replicas)
    print(
        f"{kind}: load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, {count:,} events"
    )
    print(
        f"{kind}: bare in one transaction {whole:,.0f} events/s, in transactions of {BATCH} {parts:,.0f} events/s"
    )
    print(
        f"{kind}: ingest {rate:,.0f} events/s with {replicas} replica(s): {rate / whole:.2f} and {rate / parts:.2f}"
    )
    half = len(memory) // 2
    print(f"{kind}: memory {statistics.median(memory[:half]):.0f} MiB in the first half, "
          f"{statistics.median(memory[half:]):.0f} in the second, {max(memory):.0f} at most")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--replicas", type=int, default=1)
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.database, chosen.events, chosen.replicas))
