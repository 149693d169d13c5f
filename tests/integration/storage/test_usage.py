"""Counts for quotas and bills, whom a tenant wrote to first, and a tenant's leaving: on both databases."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from pywhatsweb_fleet.storage import credentials, leaving, usage
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.usage import Amount, Person


async def test_counts_add_up_by_day(store: Store) -> None:
    """Amounts of one key in one call, and in several; other days and tenants are apart."""
    await store.transact(
        usage.add,
        [
            Amount("acme", 5, "s1", usage.COMMANDS, 2),
            Amount("acme", 5, "s1", usage.COMMANDS, 3),
            Amount("acme", 5, "s2", usage.COMMANDS, 1),
            Amount("acme", 6, "s1", usage.SENT, 7),
            Amount("rival", 5, "s1", usage.COMMANDS, 100),
        ],
    )
    await store.transact(usage.add, [Amount("acme", 5, "s1", usage.COMMANDS, 10)])
    assert await store.read(usage.of_day, "acme", 5) == {("s1", "commands"): 15, ("s2", "commands"): 1}
    assert await store.read(usage.totals, "acme", 5, 6) == {5: {"commands": 16}, 6: {"sent": 7}}
    assert await store.read(usage.totals, "acme", 7, 9) == {}


async def test_a_stranger_is_one_once(store: Store) -> None:
    """Until written to, or heard from under either address of the same person."""

    def prepare(conn: Connection) -> None:
        conn.exec_driver_sql(
            "INSERT INTO identities (tenant, lid, pn, learned_at) VALUES ('acme', '77', '+551', 1)"
        )
        conn.exec_driver_sql(
            "INSERT INTO chats (tenant, session, chat, last_at, last_inbound_at, last_outbound_at, status_at, "
            "assigned_at, completed_at) VALUES ('acme', 's1', 'key-of-77', 1, 1, 0, 0, 0, 0)"
        )

    await store.transact(prepare)
    people = [Person("a", "+551"), Person("b", "+552"), Person("c", None)]

    async def strangers(tenant: str) -> set[str]:
        return await store.read(usage.strangers, tenant, people, lambda lid: f"key-of-{lid}")

    assert await strangers("acme") == {"b", "c"}
    assert await strangers("rival") == {"a", "b", "c"}
    assert await store.transact(usage.reach, "acme", ["b", "b"], 10) == 1
    assert await store.transact(usage.reach, "acme", ["b"], 11) == 0
    assert await strangers("acme") == {"c"}
    assert await store.transact(usage.forget_reached, 11) == 1
    assert await strangers("acme") == {"b", "c"}


async def test_a_tenant_leaves_nothing_behind(store: Store, keyring: Keyring) -> None:
    """Every table that has a tenant is emptied of it, in small steps; another's rows and the receipt stay."""

    now = time.time_ns() // 1_000_000

    def fill(conn: Connection, tenant: str) -> None:
        credentials.write(conn, keyring, tenant, "s1", 1, b"device", [("session", "1", b"x")])
        for table in leaving.tables():
            values = {
                column.name: tenant if column.name == "tenant" else _value(column.type.python_type)
                for column in table.columns
            }
            last = list(table.primary_key)[-1]
            unique = [column.name for index in table.indexes if index.unique for column in index.columns]
            for number in range(1 if last.name == "tenant" else 3):
                values |= {name: f"u{number}" for name in unique if name != "tenant"}
                if last.name != "tenant":
                    values[last.name] = now + number if last.type.python_type is int else f"k{number}"
                conn.execute(table.insert(), values)

    await store.transact(fill, "acme")
    await store.transact(fill, "rival")
    assert await store.read(leaving.remains, "acme") == sorted(
        await store.read(leaving.remains, "rival"), key=lambda name: (name != "data_keys", name)
    )
    assert len(await store.read(leaving.remains, "acme")) == len(leaving.tables()) >= 20
    for table in leaving.tables():
        while await store.transact(leaving.erase_some, table.name, "acme", 2) == 2:
            pass
    assert await store.read(leaving.remains, "acme") == []
    assert len(await store.read(leaving.remains, "rival")) == len(leaving.tables())
    for _ in range(2):
        await store.transact(leaving.keep_receipt, leaving.Left("e1", "acme", "ops", "it ended", "{}", 5))
    assert await store.read(leaving.receipt, "e1") == "{}"
    assert await store.read(leaving.receipt, "e2") is None


def _value(kind: type) -> object:
    return {int: 1, bool: True, bytes: b"x"}.get(kind, "x")
