"""Files that wait to be fetched, on both databases."""

from __future__ import annotations

from pywhatsweb_fleet.storage import media_fetches
from pywhatsweb_fleet.storage.media_fetches import Fetch
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store


def a_file(tenant: str, number: int, **more: int) -> Fetch:
    return Fetch(
        tenant=tenant, media_id=f"med_{number:03}", session="s1", chat="c", message_id=f"M{number}",
        wanted=b"%d" % number, **more,
    )  # fmt: skip


async def test_what_is_due_is_of_every_tenant_in_turn(store: Store, keyring: Keyring) -> None:
    """A tenant's thousand files that wait for long do not hide another's first."""
    for number in range(30):
        await store.transact(media_fetches.ask, keyring, a_file("flood", number, next_at=number))
    for number in range(2):
        await store.transact(media_fetches.ask, keyring, a_file("acme", number, next_at=500 + number))
    await store.transact(media_fetches.ask, keyring, a_file("later", 1, next_at=2000))
    of = [("flood", "s1"), ("acme", "s1"), ("later", "s1")]
    found = await store.read(media_fetches.due, keyring, of, 1000, 6)
    assert [(fetch.tenant, fetch.wanted) for fetch in found] == [
        ("flood", b"0"), ("acme", b"0"), ("flood", b"1"), ("acme", b"1"), ("flood", b"2"), ("flood", b"3"),
    ]  # fmt: skip
    assert await store.read(media_fetches.due, keyring, [("acme", "s2")], 1000, 6) == []
