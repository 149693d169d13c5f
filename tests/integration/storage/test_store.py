"""Transactions on threads: contention, outages, migration; on both databases."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from pywhatsweb_fleet.storage import credentials, migrating
from pywhatsweb_fleet.storage.connections import UnknownDatabase
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_fleet.storage.tables import PARTITIONED, metadata
from tests.support import wait_until
from tests.support.postgres import PostgresServer, running_postgres


def add(conn: Connection, tenant: str) -> int:
    """Insert a tenant; how many there are then."""
    conn.execute(
        text("INSERT INTO tenants (tenant, settings, created_at) VALUES (:tenant, '{}', 0)"),
        {"tenant": tenant},
    )
    return count(conn)


def count(conn: Connection) -> int:
    return int(conn.execute(text("SELECT count(*) FROM tenants")).scalar_one())


async def test_a_transaction_is_kept_or_undone_whole(store: Store) -> None:
    """What returns is committed, what raises leaves nothing and raises its own error."""

    def breaks(conn: Connection) -> None:
        add(conn, "lost")
        raise LookupError("mine")

    assert await store.transact(add, "kept") == 1
    with pytest.raises(LookupError, match="mine"):
        await store.transact(breaks)
    with pytest.raises(IntegrityError):
        await store.transact(add, "kept")
    assert await store.read(count) == 1


async def test_writers_in_several_processes_worth_of_stores_do_not_fail(database_url: str) -> None:
    """Stores that write at the same time wait for each other."""
    stores = [open_store(database_url, pool_size=2) for _ in range(3)]
    await asyncio.gather(*(store.migrate() for store in stores))
    await asyncio.gather(
        *(store.transact(add, f"t{n}-{i}") for n, store in enumerate(stores) for i in range(20))
    )
    assert await stores[0].read(count) == 60
    for store in stores:
        await store.close()


async def test_writers_take_turns(database_url: str) -> None:
    """Beside stores that write without a pause, another one's write waits for a turn and not for luck."""
    busy = [open_store(database_url, pool_size=2) for _ in range(2)]
    await asyncio.gather(*(store.migrate() for store in busy))
    stop = asyncio.Event()

    async def write_on(store: Store) -> None:
        while not stop.is_set():
            await store.transact(lambda _conn: time.sleep(0.02))

    writing = [asyncio.create_task(write_on(store)) for store in busy for _ in range(2)]
    other = open_store(database_url, pool_size=1)
    waits = []
    for n in range(10):
        began = time.monotonic()
        await other.transact(add, f"t{n}")
        waits.append(time.monotonic() - began)
    stop.set()
    await asyncio.gather(*writing)
    for store in (*busy, other):
        await store.close()
    assert max(waits) < 1


async def test_a_deadlock_or_a_lost_update_is_run_again(store: Store) -> None:
    """Two transactions that lock two rows in opposite order both succeed in the end."""
    for name in ("a", "b"):
        await store.transact(add, name)
    both = threading.Barrier(2)
    runs = 0

    def opposite(conn: Connection, first: str, second: str) -> None:
        nonlocal runs
        runs += 1
        for name in (first, second):
            conn.execute(
                text("UPDATE tenants SET created_at = created_at + 1 WHERE tenant = :name"), {"name": name}
            )
            if store.dialect == "postgresql" and name == first and runs <= 2:
                both.wait(5)

    await asyncio.gather(store.transact(opposite, "a", "b"), store.transact(opposite, "b", "a"))
    total = await store.read(
        lambda conn: conn.execute(text("SELECT sum(created_at) FROM tenants")).scalar_one()
    )
    assert total == 4
    if store.dialect == "postgresql":
        assert runs == 3


async def test_a_read_does_not_wait_for_a_writer(store: Store) -> None:
    """A long write transaction does not delay readers, who see the state before it."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        add(conn, "slow")
        inside.set()
        go_on.wait(5)

    writing = asyncio.create_task(store.transact(slow))
    await wait_until(inside.is_set)
    assert await store.read(count) == 0
    go_on.set()
    await writing
    assert await store.read(count) == 1


async def test_the_schema_is_what_the_tables_say(store: Store) -> None:
    """Migrations and table definitions give the same columns, keys and indexes."""

    def differences(conn: Connection) -> list[object]:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "compare_server_default": True, "include_object": _ours}
        )
        return list(compare_metadata(context, metadata))

    assert await store.read(differences) == []
    assert await store.read(migrating.version) == migrating.head() == migrating.revisions()[-1]


SEARCH = {"message_search", "messages_search", "messages_pk", "number"}
"""What each database has in its own way (migration 0007): the search index, and on SQLite the key that it goes by."""


def _ours(_item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Partitions are made by need, not by the schema; the parent's indexes stand for theirs."""
    partition = kind == "table" and any((name or "").startswith(table.name + "_") for table in PARTITIONED)
    search = name in SEARCH or (kind == "table" and (name or "").startswith("message_search_"))
    return not partition and not search and name != "alembic_version"


async def test_services_that_start_together_migrate_once(database_url: str) -> None:
    """Ten at once on an empty database: all succeed, and the schema is there."""
    stores = [open_store(database_url, pool_size=1) for _ in range(10)]
    await asyncio.gather(*(store.migrate() for store in stores))
    await stores[0].transact(add, "x")
    for store in stores:
        await store.close()


async def test_a_database_that_is_not_there_is_said_quickly(tmp_path: Path) -> None:
    """Neither a missing server nor a folder that cannot be written hangs or gives another error."""
    (tmp_path / "file").write_text("not a folder")
    for url in (f"postgresql://u:secret@/db?host={tmp_path}", "postgresql://u:secret@127.0.0.1:1/db"):
        store = open_store(url, deadline_s=3)
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as refusal:
            await store.read(count)
        assert "secret" not in str(refusal.value)
        assert time.monotonic() - began < 3
        await store.close()


async def test_a_full_or_damaged_file_is_unavailable(tmp_path: Path) -> None:
    """A file that is no database is an outage, not a programming error."""
    (tmp_path / "bad.db").write_bytes(b"x" * 4096)
    store = open_store(f"sqlite:///{tmp_path}/bad.db", deadline_s=2)
    with pytest.raises(StorageUnavailable):
        await store.read(count)
    await store.close()


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/db", "not a url secret", "sqlite://", "sqlite:///:memory:"]
)
def test_other_databases_are_refused(url: str) -> None:
    """The refusal does not quote the URL."""
    with pytest.raises(UnknownDatabase) as refusal:
        open_store(url)
    assert "secret" not in str(refusal.value)


async def test_a_statement_that_hangs_ends_at_the_deadline(database_url: str) -> None:
    """The caller is free at the deadline, and the store works again at once."""
    store = open_store(database_url, pool_size=1, deadline_s=0.5)
    await store.migrate()
    endless = (
        "SELECT pg_sleep(30)"
        if store.dialect == "postgresql"
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    )
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        await store.transact(lambda conn: conn.execute(text(endless)).all())
    assert time.monotonic() - began < 1.5
    assert await store.transact(add, "after") == 1
    await store.close()


async def test_a_killed_and_a_frozen_postgres_are_survived(keyring: object) -> None:
    """Gone: said at once. Frozen: said at the deadline. Back: works without anybody's help."""
    with running_postgres("fsync=off") as server:
        store = open_store(server.url(), pool_size=2, deadline_s=1)
        await store.migrate()
        await store.transact(add, "one")
        server.kill()
        with pytest.raises(StorageUnavailable):
            await store.transact(add, "two")
        server.start()
        assert await store.transact(add, "two") == 2
        server.freeze()
        try:
            began = time.monotonic()
            attempts = await asyncio.gather(*(store.read(count) for _ in range(4)), return_exceptions=True)
            assert {type(attempt) for attempt in attempts} == {StorageUnavailable}
            assert time.monotonic() - began < 2
        finally:
            server.thaw()

        async def back() -> bool:
            try:
                return await store.read(count) == 2
            except StorageUnavailable:
                return False

        await wait_until(back, 10)
        await store.transact(credentials.fence, "t", "s", 1)
        await store.close()


async def test_a_connection_cut_while_idle_is_not_noticed(postgres: PostgresServer) -> None:
    """The server ended our idle connections (a restart behind a proxy): the next call reconnects."""
    store = open_store(postgres.new_database(), pool_size=2)
    await store.migrate()
    await asyncio.gather(*(store.transact(add, name) for name in "ab"))
    await asyncio.to_thread(
        postgres.execute,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pywhatsweb'",
    )
    assert await asyncio.gather(*(store.read(count) for _ in range(3))) == [2, 2, 2]
    await store.close()
