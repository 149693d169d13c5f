"""What every store of the library does, whatever keeps it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from pywhatsweb import Chat, Contact, KanbanStatus, MediaMessage, Message, SessionEvent
from pywhatsweb.legacy.stores.base import DocumentStore
from tests.integration.stores.conftest import Open

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
ME = Contact(phone="5511888888888")


def contact(n: int) -> Contact:
    return Contact(phone=f"55119{n:08}", name=f"José {n} 🎉", created_at=BEGAN, updated_at=BEGAN)


def message(n: int, who: int, **more: object) -> Message:
    """Number n, n seconds after the beginning, from a contact."""
    fields = {"timestamp": BEGAN + timedelta(seconds=n), "created_at": BEGAN, "updated_at": BEGAN} | more
    return Message(id=f"m{n}", content=f"olá, nº {n}", sender=contact(who), recipient=ME, **fields)  # type: ignore[arg-type]


def test_a_message_is_kept_as_it_was(store: DocumentStore, opened: Open) -> None:
    """Every field, of both sides' chats; a later save takes its place; seen by another opening of the store."""
    one = message(
        1, 1, producer_id="p", sequence_number=7, correlation_id="c", metadata={"a": [1, {"b": None}]}
    )
    store.save_message(one)
    store.save_message(one)
    assert store.get_chat_messages(contact(1).phone) == store.get_chat_messages(ME.phone) == [one]
    one.mark_as_sent()
    store.save_message(one)
    assert opened().get_chat_messages(contact(1).phone) == [one]
    picture = MediaMessage(
        id="m2", content="", sender=ME, recipient=contact(1), media_path="/a.png", caption="x",
        timestamp=BEGAN + timedelta(hours=1),
    )  # fmt: skip
    store.save_message(picture)
    assert store.get_chat_messages(contact(1).phone) == [one, picture]


def test_the_latest_messages_come_oldest_first(store: DocumentStore) -> None:
    """In whatever order they were saved; only as many as asked for; nothing of others."""
    for n in (5, 1, 9, 3, 7):
        store.save_message(message(n, 1))
    store.save_message(message(4, 2))
    ids = [one.id for one in store.get_chat_messages(contact(1).phone, limit=3)]
    assert ids == ["m5", "m7", "m9"]
    assert [one.id for one in store.get_chat_messages(contact(1).phone)] == ["m1", "m3", "m5", "m7", "m9"]
    assert store.get_chat_messages(contact(1).phone, limit=0) == []
    assert store.get_chat_messages("5500000000000") == []


def test_contacts_and_groups(store: DocumentStore) -> None:
    """The last save counts; one that turns out to be a group is found as such."""
    assert store.get_contact(contact(1).phone) is None
    store.save_contact(contact(1))
    changed = contact(1)
    changed.name, changed.last_seen = None, BEGAN
    store.save_contact(changed)
    assert store.get_contact(changed.phone) == changed
    changed.is_group = True
    store.save_contact(changed)
    assert store.get_contact(changed.phone) == changed
    assert store.get_contact(contact(2).phone) is None


def test_chats_are_found_by_status(store: DocumentStore) -> None:
    """A chat is in one column at a time, and made once."""
    first = store.get_or_create_chat("5511999999999")
    assert first.status is KanbanStatus.NEW
    assert store.get_or_create_chat("5511999999999") == first
    first.assign_to("ana", "bia")
    store.save_chat(first)
    other = Chat(chat_id="5511777777777")
    store.save_chat(other)
    assert store.get_chats_by_status(KanbanStatus.ACTIVE) == [first]
    assert store.get_chats_by_status(KanbanStatus.NEW) == [other]
    assert store.get_chats_by_status(KanbanStatus.DONE) == []
    assert store.get_chat("5511999999999") == first
    assert store.get_chat("nobody") is None


def test_the_audit_log_is_found_by_user_and_day(store: DocumentStore) -> None:
    """Oldest first; both days are included."""
    events = [
        SessionEvent(
            "s1",
            "assign",
            {"n": n},
            user_id=f"u{n % 2}",
            timestamp=BEGAN + timedelta(days=n),
            trace_id=f"t{n}",
        )
        for n in range(4)
    ]
    for event in reversed(events):
        store.save_event(event)
    assert store.get_audit_log() == events
    assert store.get_audit_log(user_id="u1") == [events[1], events[3]]
    assert store.get_audit_log(start_date="2026-11-23", end_date="2026-11-24") == events[1:3]


def test_a_person_is_exported_and_erased(store: DocumentStore) -> None:
    """Messages of both sides, contact and chat; who and why stays; others keep what is theirs."""
    gone, stays = contact(1), contact(2)
    for n, who in enumerate((1, 2, 1)):
        store.save_message(message(n, who))
    for one in (gone, stays):
        store.save_contact(one)
        store.get_or_create_chat(one.phone)
    exported = store.export_user_data(gone.phone)
    assert [each["id"] for each in exported["messages"]] == ["m0", "m2"]
    assert exported["contact"]["name"] == gone.name
    assert exported["chat"]["chat_id"] == gone.phone
    counts = store.delete_user_data(gone.phone, reason="direito", audit_user="admin")
    assert counts == {"messages": 2, "contacts": 1, "chats": 1}
    assert store.get_chat_messages(gone.phone) == []
    assert [each.id for each in store.get_chat_messages(ME.phone)] == ["m1"]
    assert store.get_contact(gone.phone) is None
    assert store.get_chat(gone.phone) is None
    assert (store.get_contact(stays.phone), store.get_chat(stays.phone) is None) == (stays, False)
    (event,) = store.get_audit_log(user_id="admin")
    assert (event.event_type, event.data["reason"], event.data["counts"]) == (
        "data_erased",
        "direito",
        counts,
    )
    again = store.delete_user_data(gone.phone, reason="direito", audit_user="admin")
    assert again == {"messages": 0, "contacts": 0, "chats": 0}


def test_several_openings_lose_nothing_of_each_other(opened: Open) -> None:
    """Threads with a store each: every save is there, and a chat is made once."""
    made: list[Chat] = []

    def save(part: int) -> None:
        mine = opened()
        for n in range(8):
            mine.save_message(message(part * 100 + n, 1))
        made.append(mine.get_or_create_chat("5511999999999"))

    threads = [threading.Thread(target=save, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(opened().get_chat_messages(contact(1).phone, limit=100)) == 32
    assert len({chat.trace_id for chat in made}) == 1
    assert len(made) == 4


def test_odd_text_loses_nothing(store: DocumentStore) -> None:
    """Line separators, quotes and an id that would leave a folder."""
    odd = Contact(phone="../../etc/passwd\u2028'\"", name="Robert'); DROP TABLE x;--")
    store.save_contact(odd)
    assert store.get_contact(odd.phone) == odd
    said = Message(id="x/../y", content="a\u2029b", sender=odd, recipient=ME)
    store.save_message(said)
    assert store.get_chat_messages(odd.phone) == [said]
