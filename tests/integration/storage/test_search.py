"""The search index follows the messages, whoever changes them."""

from pathlib import Path

from sqlalchemy import Connection, text

from pywhatsweb_fleet.storage import conversation, search
from pywhatsweb_fleet.storage.partitions import drop_before, make_ahead
from pywhatsweb_fleet.storage.scouring import scour
from pywhatsweb_fleet.storage.search import Wish
from pywhatsweb_fleet.storage.store import Store, open_store
from tests.integration.storage.test_conversation import NOVEMBER, a_message


async def found(store: Store, query: str, tenant: str = "acme") -> list[str]:
    """Ids of what has the words."""
    rows = (await store.read(search.find, tenant, Wish(search.terms(query)), None, 50)).rows
    return [row.message_id for row in rows]


def contents(folder: Path) -> list[bytes]:
    """Every file's."""
    return [file.read_bytes() for file in folder.iterdir()]


async def test_a_change_or_deletion_by_anybody_shows(store: Store) -> None:
    """Updates, deletes and the retention's drop of a month take words out, whatever code does them."""
    rows = [a_message(n, body=f"everyone w{n}") for n in range(6)]
    await store.transact(conversation.record_messages, rows)

    def change(conn: Connection) -> None:
        conn.execute(text("UPDATE messages SET body = 'everyone else' WHERE message_id = 'M1'"))
        conn.execute(text("UPDATE messages SET body = NULL WHERE message_id = 'M2'"))
        conn.execute(text("UPDATE messages SET tenant = 'other' WHERE message_id = 'M3'"))
        conn.execute(text("DELETE FROM messages WHERE message_id = 'M4'"))

    await store.transact(change)
    assert await found(store, "everyone") == ["M5", "M1", "M0"]
    assert await found(store, "w1") == await found(store, "w2") == await found(store, "w4") == []
    assert await found(store, "else") == ["M1"]
    assert await found(store, "w3", "other") == ["M3"]
    await store.transact(drop_before, NOVEMBER + 60 * 86_400_000)
    if store.dialect == "postgresql":  # rows of a month without a partition of its own are deleted one by one
        await store.transact(lambda conn: conn.execute(text("DELETE FROM messages")))
    assert await found(store, "everyone") == []


async def test_months_made_later_are_searched_too(store: Store) -> None:
    """Rows that moved into a partition, and rows that came after."""
    await store.transact(conversation.record_messages, [a_message(1, body="before")])
    await store.transact(make_ahead, NOVEMBER)
    await store.transact(conversation.record_messages, [a_message(2, body="after")])
    assert (await found(store, "before"), await found(store, "after")) == (["M1"], ["M2"])


async def test_frequent_words_come_in_whole_pages(store: Store) -> None:
    """The newest first, without gaps or repeats, over hours and days and with a filter that leaves little over."""
    hour = 3_600_000
    rows = [
        a_message(
            n, body="often", recorded_at=NOVEMBER + n * hour // 2, session="s2" if n % 40 == 0 else "s1"
        )
        for n in range(400)
    ]
    await store.transact(conversation.record_messages, rows)
    for session, step in ((None, 1), ("s2", 40)):
        ids: list[str] = []
        place = None
        while True:
            page = await store.read(
                search.find, "acme", Wish(search.terms("often"), session=session), place, 30
            )
            ids += [row.message_id for row in page.rows]
            place = page.place
            if place is None:
                break
        assert ids == [f"M{n}" for n in range(400 - step, -1, -step)]


async def test_a_call_looks_at_a_bounded_number_of_entries(tmp_path: Path) -> None:
    """SQLite: when a time rules out nearly everything, a page ends early and says where to go on."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    await store.migrate()
    rows = [a_message(n, body="often", sent_at=n) for n in range(6000)]
    await store.transact(conversation.record_messages, rows)
    wish = Wish(search.terms("often"), until=10)
    first = await store.read(search.find, "acme", wish, None, 5)
    assert first.rows == []
    assert first.place is not None
    second = await store.read(search.find, "acme", wish, first.place, 5)
    assert [row.message_id for row in second.rows] == ["M9", "M8", "M7", "M6", "M5"]
    await store.close()


async def test_scouring_leaves_no_word_of_a_deleted_message(tmp_path: Path) -> None:
    """Neither the file nor its log has the words; those of other messages are still found."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    await store.migrate()
    rows = [a_message(n, body=f"kept{n:04} and more") for n in range(500)]
    await store.transact(conversation.record_messages, rows)
    secret = a_message(1000, body="xylophonequux and more", content='{"text":"xylophonequux"}')
    await store.transact(conversation.record_messages, [secret])
    await store.transact(lambda conn: conn.execute(text("DELETE FROM messages WHERE message_id = 'M1000'")))
    await store.close()
    assert scour(f"sqlite:///{tmp_path}/store.db") == []
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    assert await found(store, "xylophonequux") == []
    assert await found(store, "kept0042") == ["M42"]
    await store.close()
    assert all(b"xylophone" not in raw for raw in contents(tmp_path))
