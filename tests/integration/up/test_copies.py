"""A fleet on PostgreSQL: backed up while it runs, restored into an empty database and broker."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, func, select

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb_fleet.storage import audit, conversation, credentials, idempotency, kanban, schema
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_fleet.up import backups, restores, snapshots
from pywhatsweb_runtime.bus import BrokerSettings, connect
from tests.integration.storage.test_conversation import a_message
from tests.support import NatsServer, running_nats_server
from tests.support.fleet import platform
from tests.support.postgres import PostgresServer

KEY = bytes(range(32))
KEYRING = Keyring([bytes(32)])


async def test_a_fleet_on_postgres_comes_back(
    nats_server: NatsServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Rows, streams with their sequences, keys; what was queued ends as unknown; a second restore is refused."""
    url = postgres.new_database()
    store = open_store(url)
    await store.migrate()
    file, media = tmp_path / "b", tmp_path / "media"
    (media / "acme").mkdir(parents=True)
    (media / "acme" / "1").write_bytes(b"sealed")
    async with platform(nats_server.url, "acme") as (bus, (tenant,)):
        await store.transact(conversation.record_messages, [a_message(n) for n in range(500)])
        await store.transact(
            credentials.write, KEYRING, "acme", "s1", 9, b"creds", [("session", "1", b"key")]
        )
        claims = [
            idempotency.Claim("acme", "s1", c, "d", n + 70, 1, 2**50)
            for n, c in enumerate(("sent", "queued"))
        ]
        await store.transact(idempotency.claim, claims)
        await store.transact(idempotency.outcome, [_sent()])
        await store.transact(kanban.save_place, "acme", kanban.Place("born", 3, "me", 2**50))
        await store.transact(audit.append, audit.Entry("acme", 1, "ana", "x", reason="words"))
        await store.transact(fill)
        for n in range(20):
            await bus.request(
                "wai.evt.acme.s1.message.k", b'{"event":"message","n":%d}' % n, headers={"Nats-TTL": "600s"}
            )
        await bus.request(
            subjects.command(tenant.name, SessionId("s1")), msgspec.json.encode({"id": "undispatched"})
        )
        await tenant.enqueue("s1", "queued")
        source = backups.Source(
            broker=BrokerSettings(nats_url=nats_server.url), database_url=url, media=media
        )
        manifest = await backups.backup(source, file, KEY)
    assert (manifest.tenants, manifest.database) == (["acme"], "postgresql")
    fresh = postgres.new_database()
    with running_nats_server(tmp_path / "second") as server:
        where = BrokerSettings(nats_url=server.url)
        file.rename(tmp_path / "whole")
        (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-1])
        with pytest.raises(StorageError) as refused:
            await restores.into_services(tmp_path / "cut", KEY, where, fresh)
        assert refused.value.code is ErrorCode.E_BACKUP_DAMAGED
        again = tmp_path / "media-again"
        restored = await restores.into_services(tmp_path / "whole", KEY, where, fresh, media=again)
        assert restored.unknown == 2
        assert (again / "acme" / "1").read_bytes() == b"sealed"
        other = open_store(fresh)
        rows = await other.read(conversation.page, "acme", [a_message(0).chat], None, None, 1000)
        assert rows == await store.read(conversation.page, "acme", [a_message(0).chat], None, None, 1000)
        # Who owned what is not brought along; what was not dispatched is on record now, as unknown.
        changed = {"fences": 0, "duties": 0, "idempotency": 3}
        assert await other.read(counts) == await store.read(counts) | changed
        assert await other.read(credentials.load_creds, KEYRING, "acme", "s1") == b"creds"
        assert await other.read(audit.first_flaw, "acme") is None
        states = {
            c: await other.read(idempotency.lookup, "acme", c) for c in ("sent", "queued", "undispatched")
        }
        assert {c: found.status if found else None for c, found in states.items()} == {
            "sent": "sent", "queued": "unknown", "undispatched": "unknown",
        }  # fmt: skip
        # A new owner's epoch is a new, small sequence: nothing fences it off.
        await other.transact(credentials.fence, "acme", "s1", 1)
        async with connect(where, name="test") as bus:
            assert await snapshots.names(bus) == sorted(manifest.streams)
            info = await bus.api("STREAM.INFO.WA_EVT_acme")
            place = await other.read(kanban.place, "acme")
            assert place is not None
            assert (place.stream, place.sequence) == (info["created"], 3)
            first = await bus.first_from("WA_EVT_acme", "wa.evt.acme.s1.message.k")
            assert first is not None
            assert first.data == b'{"event":"message","n":0}'
            told = await bus.last("WA_EVT_acme", "wa.evt.acme.s1.status.-")
            assert told is not None
            assert b"unknown" in told.data
            state = {
                name: (await bus.api(f"STREAM.INFO.{name}"))["state"]
                for name in ("WA_CMD_acme", "WA_OUT_acme")
            }
            assert [one["messages"] for one in state.values()] == [0, 0]
            # Sequences go on beyond those on record: no new command is taken for an old one.
            assert state["WA_CMD_acme"]["last_seq"] >= 71
        with pytest.raises(StorageError) as refused:
            await restores.into_services(tmp_path / "whole", KEY, where, fresh)
        assert refused.value.code is ErrorCode.E_RESTORE_NOT_EMPTY
        third = postgres.new_database()
        with pytest.raises(StorageError) as refused:
            await restores.into_services(tmp_path / "whole", KEY, where, third)
        assert refused.value.details == {"what": "the broker"}
        await other.close()
    await store.close()
    with running_nats_server(tmp_path / "third") as server:
        where = BrokerSettings(nats_url=server.url)
        kept = await restores.into_services(
            tmp_path / "whole", KEY, where, postgres.new_database(), keep_queues=True
        )
        assert kept.unknown == 0
        async with connect(where, name="test") as bus:
            for name in ("WA_CMD_acme", "WA_OUT_acme"):
                assert (await bus.api(f"STREAM.INFO.{name}"))["state"]["messages"] == 1, name


def counts(conn: Connection) -> dict[str, int]:
    """Rows by table, months together."""
    return {
        table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
        for table in schema.metadata.sorted_tables
    }


def fill(conn: Connection) -> None:
    """A row in each table that has none."""
    values = {"BIGINT": 1, "SMALLINT": 1, "INTEGER": 1, "BOOLEAN": False, "BLOB": b"x"}
    for table in schema.metadata.sorted_tables:
        if not conn.execute(select(func.count()).select_from(table)).scalar_one():
            row = {column.name: values.get(str(column.type), "x") for column in table.columns}
            conn.execute(table.insert(), row)


def _sent() -> idempotency.Outcome:
    from pywhatsweb.contracts.statuses import MessageStatus

    return idempotency.Outcome("acme", "s1", "sent", MessageStatus.SENT, 2)
