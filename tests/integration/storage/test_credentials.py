"""Sealed and fenced credentials, on both databases."""

import pytest
from sqlalchemy import text

from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.credentials import Write
from pywhatsweb_fleet.storage.faults import Fenced, Unsealable
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store

AT = ("acme", "s1")


async def test_rows_come_back_as_they_were_written(store: Store, keyring: Keyring) -> None:
    """Creds and keys are read as written, absent ids are left out, None deletes, a later row of a key wins."""
    rows = [
        ("pre-key", "1", b"one"),
        ("pre-key", "2", b""),
        ("session", "1", b"x"),
        ("pre-key", "1", b"anew"),
    ]
    await store.transact(credentials.write, keyring, *AT, 5, b"device", rows)
    assert await store.read(credentials.load_creds, keyring, *AT) == b"device"
    found = await store.read(credentials.get_keys, keyring, *AT, "pre-key", ["1", "2", "3", "1"])
    assert found == {"1": b"anew", "2": b""}
    await store.transact(
        credentials.write, keyring, *AT, 5, None, [("pre-key", "1", None), ("pre-key", "9", None)]
    )
    assert await store.read(credentials.get_keys, keyring, *AT, "pre-key", ["1", "2"]) == {"2": b""}
    assert await store.read(credentials.load_creds, keyring, *AT) == b"device"
    assert await store.read(credentials.load_creds, keyring, "acme", "s2") is None


async def test_an_older_epoch_is_fenced_off(store: Store, keyring: Keyring) -> None:
    """A newer epoch advances the fence, by a write or at takeover; then nothing of the older one is written."""
    await store.transact(credentials.write, keyring, *AT, 5, b"five", [])
    await store.transact(credentials.fence, *AT, 8)
    with pytest.raises(Fenced) as refusal:
        await store.transact(credentials.write, keyring, *AT, 5, b"zombie", [("session", "1", b"zombie")])
    assert (refusal.value.epoch, refusal.value.current) == (5, 8)
    with pytest.raises(Fenced):
        await store.transact(credentials.fence, *AT, 7)
    with pytest.raises(Fenced):
        await store.transact(credentials.wipe, *AT, 7)
    assert await store.read(credentials.load_creds, keyring, *AT) == b"five"
    await store.transact(credentials.write, keyring, *AT, 9, b"nine", [])
    with pytest.raises(Fenced):
        await store.transact(credentials.write, keyring, *AT, 8, b"eight", [])


async def test_writes_of_many_sessions_are_judged_singly(store: Store, keyring: Keyring) -> None:
    """One stale owner in a batch is refused, the others' rows are written."""
    await store.transact(credentials.fence, "acme", "s2", 9)
    refusals = await store.transact(
        credentials.write_many,
        keyring,
        [
            Write("acme", "s1", 1, b"a", [("session", "x", b"1")]),
            Write("acme", "s2", 8, b"b", []),
            Write("acme", "s1", 1, b"c", []),
            Write("other", "s1", 1, b"d", []),
        ],
    )
    assert [type(refusal) for refusal in refusals] == [type(None), Fenced, type(None), type(None)]
    assert await store.read(credentials.load_creds, keyring, "acme", "s1") == b"c"
    assert await store.read(credentials.load_creds, keyring, "acme", "s2") is None
    assert await store.read(credentials.load_creds, keyring, "other", "s1") == b"d"


async def test_nothing_is_stored_in_the_clear(store: Store, keyring: Keyring) -> None:
    """The stored value does not hold the plain one, and equal values differ."""
    await store.transact(credentials.write, keyring, *AT, 1, b"plainvalue", [("session", "1", b"plainvalue")])
    stored = await store.read(
        lambda conn: conn.execute(text("SELECT sealed FROM credentials")).scalars().all()
    )
    assert len({bytes(value) for value in stored}) == 2
    assert all(b"plainvalue" not in bytes(value) for value in stored)


async def test_a_row_that_was_moved_does_not_open(store: Store, keyring: Keyring) -> None:
    """The place of a row is part of its seal."""
    await store.transact(
        credentials.write, keyring, *AT, 1, None, [("session", "1", b"a"), ("session", "2", b"b")]
    )
    await store.transact(
        lambda conn: conn.execute(
            text(
                "UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE key_id = '1') WHERE key_id = '2'"
            )
        )
    )
    with pytest.raises(Unsealable):
        await store.read(credentials.get_keys, keyring, *AT, "session", ["2"])


async def test_a_logout_leaves_nothing_and_a_new_login_starts_anew(store: Store, keyring: Keyring) -> None:
    """Rows and data key go; another process that kept the old data key uses the new one."""
    elsewhere = Keyring([bytes(range(32))])
    await store.transact(credentials.write, keyring, *AT, 1, b"first", [("session", "1", b"a")])
    assert await store.read(credentials.load_creds, elsewhere, *AT) == b"first"
    assert await store.transact(credentials.wipe, *AT, 2) == 2
    assert await store.read(credentials.load_creds, keyring, *AT) is None
    await store.transact(credentials.write, keyring, *AT, 3, b"second", [])
    assert await store.read(credentials.load_creds, elsewhere, *AT) == b"second"
    await store.transact(credentials.write, elsewhere, *AT, 3, b"third", [])
    assert await store.read(credentials.load_creds, keyring, *AT) == b"third"


async def test_a_data_key_of_a_transaction_that_failed_is_not_used(store: Store, keyring: Keyring) -> None:
    """What is rolled back leaves no key in memory that the database has not."""

    def fails(conn: object) -> None:
        credentials.write(conn, keyring, *AT, 1, b"lost", [])  # type: ignore[arg-type]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.transact(fails)
    await store.transact(credentials.write, keyring, *AT, 1, b"kept", [])
    assert await store.read(credentials.load_creds, Keyring([bytes(range(32))]), *AT) == b"kept"
