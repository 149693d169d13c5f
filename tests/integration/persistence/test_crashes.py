"""Whoever crashes during ingest: rows equal events, once each."""

import asyncio
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.integration.persistence.conftest import Start
from tests.integration.persistence.test_ingest import counts, statuses_in, until_settled
from tests.support import wait_until
from tests.support.postgres import PostgresServer, running_postgres

EVENTS = 2400


async def pour(publisher: Publisher, first: int, last: int) -> None:
    """Messages and a status each."""
    for n in range(first, last):
        await traffic.publish(publisher, traffic.message(n, outbound=True), traffic.status(n, "sent"))


async def progressed(store: Store, past: int) -> bool:
    try:
        return (await store.read(statuses_in)) > past
    except StorageUnavailable:
        return False


async def test_replicas_that_are_killed_lose_and_double_nothing(
    bus: Bus, publisher: Publisher, store: Store, start: Start, database_url: str
) -> None:
    """Two replicas share the stream; each is killed (SIGKILL) in the middle of it and another begins."""
    pouring = asyncio.create_task(pour(publisher, 0, EVENTS // 2))
    replicas = [start(database_url) for _ in range(2)]
    rng = random.Random(4)
    for past in (50, 400):
        await wait_until(partial(progressed, store, past), 20, message=f"more than {past} rows")
        victim = replicas.pop(rng.randrange(2))
        victim.kill()
        victim.wait()
        replicas.append(start(database_url))
    await pouring
    await until_settled(bus, within=30)
    found = await store.read(counts)
    assert (found["messages"], found["statuses"]) == (EVENTS // 2, EVENTS // 2)


@pytest.fixture
async def fragile(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL to be killed."""
    with running_postgres("shared_buffers=64MB") as server:
        yield server


async def test_a_database_that_is_killed_loses_and_doubles_nothing(
    bus: Bus, publisher: Publisher, start: Start, fragile: PostgresServer
) -> None:
    """Three times SIGKILL to PostgreSQL during ingest: the service holds its batch and goes on by itself."""
    store = open_store(fragile.url(), deadline_s=2)
    await store.migrate()
    pouring = asyncio.create_task(pour(publisher, 0, EVENTS // 2))
    replica = start(fragile.url())
    for past in (50, 300, 500):
        await wait_until(partial(progressed, store, past), 20, message=f"more than {past} rows")
        await asyncio.to_thread(fragile.kill)
        await asyncio.to_thread(fragile.start)
    await pouring
    await until_settled(bus, within=30)
    assert replica.poll() is None, "the service outlives its database"
    found = await store.read(counts)
    assert (found["messages"], found["statuses"]) == (EVENTS // 2, EVENTS // 2)
    await store.close()


async def test_a_stop_finishes_the_batch(
    bus: Bus, publisher: Publisher, store: Store, start: Start, database_url: str
) -> None:
    """SIGTERM: exit code 0 soon, all that was committed is acknowledged, and what was only taken is given back."""
    await pour(publisher, 0, 300)
    replica: subprocess.Popen[bytes] = start(database_url, PWW_ACK_WAIT_S="3600")
    await wait_until(partial(progressed, store, 20), 20)
    replica.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(replica.wait, 10) == 0
    rows = await store.read(counts)
    acknowledged = (await bus.api("CONSUMER.INFO.WA_EVT_acme.persistence"))["ack_floor"]["stream_seq"]
    assert rows["messages"] + rows["statuses"] == acknowledged
    start(database_url, PWW_ACK_WAIT_S="3600")
    await until_settled(bus, within=30)
    rows = await store.read(counts)
    assert (rows["messages"], rows["statuses"]) == (300, 300)
