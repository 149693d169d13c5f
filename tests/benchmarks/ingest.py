"""Events of a real stream into the record, against the same rows written bare in the same run.

    PYTHONPATH=shared:services:. python tests/benchmarks/ingest.py --database sqlite --events 200000

Two thirds messages, one third statuses, 2,000 chats, one tenant. "Bare" is executemany (SQLite) or COPY (PostgreSQL) of
the message and status rows alone, already made, into the same tables with their indexes: once in one transaction, and
once in transactions as large as the service's. Trust the ratio, not the rates.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Table, func, select

from pywhatsweb.contracts import control, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.streams import TenantLimits
from pywhatsweb_fleet.persistence.rows import Rows, Told, rows_of
from pywhatsweb_fleet.storage import conversation
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


def event(n: int) -> Any:
    """Event n: message, answer, its status."""
    if n % 3 == 2:
        return traffic.status(n - 1, "sent")
    return traffic.message(
        n, who=n * 7919 % CHATS, outbound=n % 3 == 1, body=f"a text of usual length, number {n}"
    )


async def prepare(bus: Bus, count: int) -> None:
    """The stream, full."""
    record = TenantRecord(key=traffic.KEY, limits=TenantLimits(events_bytes=8 << 30))
    await ensure_platform(bus)
    await ensure_tenant(bus, TenantId("acme"), record.limits)
    await Bucket(bus, "WA_TENANTS").put("acme", encode_record(record))
    async with publishing(bus, in_flight=1024, deadline_s=60) as publisher:
        for first in range(0, count, 2000):
            await traffic.publish(publisher, *(event(n) for n in range(first, min(first + 2000, count))))


def rows_in_all(count: int) -> tuple[list[MessageRow], list[StatusRow]]:
    """The rows that the service has to write, but for chats, contacts and the like."""
    rows = Rows()
    for first in range(0, count, BATCH):
        part = rows_of(
            Told(subjects.EventSubject("acme", "s1", "", ""), event(n))
            for n in range(first, min(first + BATCH, count))
        )
        rows.messages |= part.messages
        rows.statuses |= part.statuses
    return list(rows.messages.values()), list(rows.statuses.values())


def write_bare(conn: Connection, table: Table, rows: Sequence[Any]) -> None:
    """executemany or COPY."""
    names = ", ".join(type(rows[0])._fields)
    if conn.dialect.name == "sqlite":
        marks = ", ".join("?" * len(rows[0]))
        sql = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        conn.exec_driver_sql(sql, [tuple(row) for row in rows])
        return
    cursor = conn.connection.cursor()
    with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


async def bare(url: str, said: list[MessageRow], told: list[StatusRow], batch: int) -> float:
    """Rows a second."""
    store = open_store(url, deadline_s=600)
    await store.migrate()
    await store.transact(make_ahead, traffic.BASE_MS)
    began = time.perf_counter()
    for table, rows in ((messages, said), (statuses, told)):
        for first in range(0, len(rows), batch):
            await store.transact(write_bare, table, rows[first : first + batch])
    rate = (len(said) + len(told)) / (time.perf_counter() - began)
    await store.close()
    return rate


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

    asked = {
        "chat.messages": lambda: ask("chat.messages", d.ChatMessages(chat=some()[0].key, limit=50)),
        "chat.messages by number": lambda: ask("chat.messages", d.ChatMessages(to=some()[1].pn, limit=50)),
        "chat.list": lambda: ask("chat.list", d.ChatList(limit=50)),
        "contact.get": lambda: ask("contact.get", d.ContactRef(phone_number=some()[1].pn)),
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
            said, told = rows_in_all(count)
            whole = await bare(new(), said, told, len(said))
            parts = await bare(new(), said, told, BATCH)
            del said, told
            rate, memory = await ingest(bus, server.url, new(), count, replicas)
    print(
        f"{kind}: bare in one transaction {whole:,.0f} rows/s, in transactions of {BATCH} {parts:,.0f} rows/s"
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
