"""The master key rotates while processes that know different keys use the database, in whatever order they learn."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pywhatsweb_fleet.storage import credentials, data_keys
from pywhatsweb_fleet.storage.faults import KeyMissing
from pywhatsweb_fleet.storage.sealing import Keyring, key_id
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_fleet.up import rotating
from tests.support import wait_until

OLD, NEW = bytes(range(32)), b"n" * 32
SESSIONS = ("s1", "s2", "s3")


async def wrote(store: Store, ring: Keyring, *sessions: str) -> None:
    for session in sessions:
        await store.transact(credentials.write, ring, "acme", session, 1, session.encode(), [])


async def opens(store: Store, ring: Keyring, *sessions: str) -> bool:
    return [await store.read(credentials.load_creds, ring, "acme", session) for session in sessions] == [
        session.encode() for session in sessions
    ]


def a_file(tmp_path: Path, *keys: bytes) -> Path:
    file = tmp_path / "keys" / "encryption.key"
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(key.hex() + "\n" for key in keys))
    return file


def ring_of(file: Path) -> Keyring:
    return Keyring.parse(file.read_text(), file)


async def test_everything_is_sealed_anew_without_touching_rows(store: Store, keyring: Keyring) -> None:
    """Both keys open while it lasts; afterwards the old one is not needed, and does not open."""
    await wrote(store, keyring, *SESSIONS)
    both = Keyring([NEW, OLD])
    await wrote(store, both, "s4")
    assert await store.read(data_keys.needed) == {key_id(OLD)}  # who comes with another first key follows
    await store.transact(data_keys.seal_under, both)
    assert [await store.transact(data_keys.rotate, both, 3) for _ in range(3)] == [3, 1, 0]
    assert await store.read(data_keys.needed) == {key_id(NEW)}
    assert await opens(store, Keyring([NEW]), *SESSIONS, "s4")
    with pytest.raises(KeyMissing):
        await opens(store, keyring, "s1")


async def test_a_process_learns_by_meeting_the_key(store: Store, tmp_path: Path) -> None:
    """One that read the file before the rotation opens and seals after it, the old key long gone from the file."""
    file = a_file(tmp_path, OLD)
    running = [ring_of(file), ring_of(file)]
    await wrote(store, running[0], *SESSIONS)
    done = await rotating.rotate(store, "", file, new=True, drop=True)
    assert (done.sealed_anew, done.dropped) == (3, [key_id(OLD)])
    assert file.read_text().split() != [OLD.hex()]
    assert file.stat().st_mode & 0o777 == 0o600
    assert await opens(store, running[0], *SESSIONS)
    await wrote(store, running[1], "s4")  # this one has met nothing yet: it seals under what was agreed on
    assert await store.read(data_keys.needed) == {done.master_key}
    assert await opens(store, ring_of(file), *SESSIONS, "s4")


async def test_who_has_no_way_to_the_new_key_waits_and_seals_nothing(store: Store, tmp_path: Path) -> None:
    """A process whose copy of the file is behind never seals under a key that is on its way out."""
    file = a_file(tmp_path, OLD)
    behind = Keyring([OLD])
    await wrote(store, behind, "s1")
    await rotating.rotate(store, "", file, new=True, drop=True)
    for waits in (opens(store, behind, "s1"), wrote(store, behind, "s2")):
        with pytest.raises(KeyMissing):
            await waits
    assert await store.read(credentials.load_creds, behind, "acme", "s2") is None
    assert await opens(store, ring_of(file), "s1")


async def test_the_old_key_stays_until_whoever_seals_under_it_is_done(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    """A transaction that began before the rotation commits a row under the old key: it is sealed anew too."""
    file = a_file(tmp_path, OLD)
    await wrote(store, ring_of(file), "s1")
    sealed, on = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        credentials.write(conn, Keyring([OLD]), "acme", "slow", 1, b"slow", [])
        sealed.set()
        assert on.wait(60)

    other = open_store(database_url, deadline_s=60)
    rotates = open_store(database_url, deadline_s=60)
    try:
        writing = asyncio.create_task(other.transact(slow))
        await wait_until(sealed.is_set, 30)
        rotation = asyncio.create_task(rotating.rotate(rotates, "", file, new=True, drop=True))
        await wait_until(lambda: len(file.read_text().split()) == 2, 30)
        assert not rotation.done()
        on.set()
        await writing
        done = await rotation
    finally:
        on.set()
        await other.close()
        await rotates.close()
    assert done.sealed_anew == 2
    assert await opens(store, ring_of(file), "s1", "slow")


async def test_a_rotation_that_was_broken_off_goes_on(store: Store, tmp_path: Path) -> None:
    """After each of its steps alone everything opens, and the same command ends with one key."""
    file = a_file(tmp_path, OLD)
    await wrote(store, ring_of(file), *SESSIONS)
    file.write_text(f"{NEW.hex()}\n{OLD.hex()}\n")  # killed after the file
    assert await opens(store, ring_of(file), *SESSIONS)
    await store.transact(data_keys.seal_under, ring_of(file))  # after that
    await wrote(store, ring_of(file), "s4")
    await store.transact(data_keys.rotate, ring_of(file), 2)  # among the data keys
    assert await store.read(data_keys.needed) == {key_id(OLD), key_id(NEW)}
    assert await opens(store, ring_of(file), *SESSIONS, "s4")
    done = await rotating.rotate(store, "", file, new=True, drop=True)
    assert sorted(done.dropped) == sorted([key_id(OLD), key_id(NEW)])
    assert len(file.read_text().split()) == 1
    assert await opens(store, ring_of(file), *SESSIONS, "s4")


async def test_what_cannot_be_done_changes_nothing(store: Store, tmp_path: Path) -> None:
    """Keys that are in no file, and two rotations of one file at once."""
    file = a_file(tmp_path, OLD)
    with pytest.raises(rotating.RotationError, match="PWW_ENCRYPTION_KEY_FILE"):
        await rotating.rotate(store, OLD.hex(), None, new=True, drop=False)
    with rotating.alone(file), pytest.raises(rotating.RotationError, match="another rotation"):
        await rotating.rotate(store, "", file, new=True, drop=True)
    assert file.read_text().split() == [OLD.hex()]
