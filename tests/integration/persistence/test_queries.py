"""The record's questions over the broker."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from pywhatsweb.contracts import control
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import event_data as e
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb.contracts.subjects import control as control_subject
from pywhatsweb.errors import ErrorCode, PyWhatsWebError
from pywhatsweb_fleet.storage import audit
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.integration.persistence.test_ingest import until_settled


async def ask(bus: Bus, verb: str, args: Any, tenant: str = "acme") -> Any:
    """The answer to a question, as its Struct."""
    noun, _, does = verb.partition(".")
    answer = await bus.request(control_subject(TenantId(tenant), noun, does), encode(args))
    return control.read_reply(answer.data, control.VERBS[verb].result)


async def refusal(bus: Bus, verb: str, args: Any, tenant: str = "acme") -> ErrorCode:
    """The code with which a question is refused."""
    with pytest.raises(PyWhatsWebError) as refused:
        await ask(bus, verb, args, tenant)
    return refused.value.code


async def test_a_chat_is_paged_through(service: None, bus: Bus, publisher: Publisher) -> None:
    """Newest first, each once, by number or by key; outbound ones with their furthest status."""
    await traffic.publish(publisher, *(traffic.message(n, who=1, outbound=n % 2 == 1) for n in range(25)))
    await traffic.publish(publisher, traffic.status(3, "sent"), traffic.status(3, "delivered"))
    await until_settled(bus)
    seen: list[Any] = []
    cursor = None
    while True:
        page = await ask(
            bus, "chat.messages", d.ChatMessages(to=traffic.contact(1)[1].pn, limit=10, cursor=cursor)
        )
        seen += page.messages
        cursor = page.cursor
        if cursor is None:
            break
    assert [message.id for message in seen] == [f"WAM{n}" for n in reversed(range(25))]
    assert {message.id: message.status for message in seen if message.status} == {"WAM3": "delivered"}
    assert seen[0].text.body == "text 24"
    assert seen[0].session_id == "s1"
    by_key = await ask(bus, "chat.messages", d.ChatMessages(chat=traffic.contact(1)[0].key, limit=3))
    assert by_key.messages == seen[:3]


async def test_only_the_sender_edits(service: None, bus: Bus, publisher: Publisher) -> None:
    """An edit by somebody else is on record but changes nothing."""
    await traffic.publish(
        publisher,
        traffic.message(1),
        traffic.message(2),
        traffic.edit(1, "mended", who=1),
        traffic.edit(2, "forged", who=9),
    )
    await until_settled(bus)
    for n, body in ((1, "mended"), (2, "text 2")):
        page = await ask(bus, "chat.messages", d.ChatMessages(chat=traffic.contact(n)[0].key))
        (message,) = page.messages
        assert message.text.body == body
        assert (message.edited_at is not None) == (n == 1)
        assert message.id == f"WAM{n}"
        one = await ask(bus, "message.get", r.MessageGet(id=f"WAM{n}", session_id="s1"))
        assert one == message
    for args in (r.MessageGet(id="WAM9"), r.MessageGet(id="WAM1", session_id="s2")):
        assert await refusal(bus, "message.get", args) == ErrorCode.E_MESSAGE_NOT_FOUND


async def test_faces_votes_and_pins_stay_with_their_message(
    service: None, bus: Bus, publisher: Publisher
) -> None:
    """The last of each person's, whichever of their addresses it came from; what was taken away is gone."""
    seven = traffic.contact(7)[1]
    by_lid = e.Person(lid="99", pn=seven.pn)
    await traffic.publish(
        publisher,
        traffic.message(1),
        traffic.about(1, "reaction", "a", seven, emoji="👍"),
        traffic.about(1, "reaction", "b", by_lid, emoji="❤️"),
        traffic.about(1, "reaction", "c", traffic.contact(8)[1], emoji="😂"),
        traffic.about(1, "reaction", "d", traffic.contact(8)[1], emoji=""),
        traffic.about(1, "reaction", "e", e.Person(), emoji="🙏"),
        traffic.about(1, "poll_vote", "f", seven, options=["red"]),
        traffic.about(1, "poll_vote", "g", seven, options=["blue"]),
        traffic.about(1, "pin", "h", e.Person(), pinned=True, seconds=60),
        traffic.message(2),
        traffic.about(2, "pin", "i", e.Person(), pinned=True, seconds=60),
        traffic.about(2, "pin", "j", e.Person(), pinned=False),
    )
    await until_settled(bus)
    (message,) = (await ask(bus, "chat.messages", d.ChatMessages(chat=traffic.contact(1)[0].key))).messages
    faces = [(one.emoji, one.from_.lid, one.from_self) for one in message.reactions]
    assert faces == [("❤️", "99", False), ("🙏", None, True)]
    assert [(one.options, one.from_.pn) for one in message.votes] == [(["blue"], seven.pn)]
    assert datetime.fromisoformat(message.pinned_until) - datetime.fromisoformat(
        message.pinned_at
    ) == timedelta(seconds=60)
    (other,) = (await ask(bus, "chat.messages", d.ChatMessages(chat=traffic.contact(2)[0].key))).messages
    assert (other.reactions, other.votes, other.pinned_at) == ([], [], None)


async def test_chats_are_listed_with_their_cards(service: None, bus: Bus, publisher: Publisher) -> None:
    """The latest first, by status and owner, with names and what is unread."""
    await traffic.publish(publisher, *(traffic.message(n) for n in range(12)))
    await traffic.publish(
        publisher, traffic.message(70, outbound=True, who=4), traffic.card(2, "active", "ana", 80)
    )
    await until_settled(bus)
    first = await ask(bus, "chat.list", d.ChatList(limit=5))
    rest = await ask(bus, "chat.list", d.ChatList(limit=500, cursor=first.cursor))
    names = [chat.name for chat in [*first.chats, *rest.chats]]
    assert names == [f"Contact {n}" for n in (4, 11, 10, 9, 8, 7, 6, 5, 3, 2, 1, 0)]
    assert [chat.unread for chat in first.chats] == [0, 1, 1, 1, 1]
    (active,) = (await ask(bus, "chat.list", d.ChatList(status=KanbanStatus.ACTIVE, owner_id="ana"))).chats
    assert (active.name, active.assigned_by) == ("Contact 2", "ana")


async def test_contacts_are_found_and_listed(service: None, bus: Bus, publisher: Publisher) -> None:
    """By number, by chat, and all of them in pages."""
    await traffic.publish(publisher, *(traffic.message(n) for n in range(7)))
    await until_settled(bus)
    chat, person = traffic.contact(3)
    by_number = await ask(bus, "contact.get", d.ContactRef(phone_number=person.pn))
    assert by_number.person == person
    assert by_number.key == chat.key
    assert await ask(bus, "contact.get", d.ContactRef(chat=chat.key)) == by_number
    first = await ask(bus, "contact.list", d.ContactList(limit=4))
    rest = await ask(bus, "contact.list", d.ContactList(limit=4, cursor=first.cursor))
    assert [c.person.name for c in [*first.contacts, *rest.contacts]] == [f"Contact {n}" for n in range(7)]
    assert rest.cursor is None


async def test_the_audit_trail_is_listed(service: None, bus: Bus, store: Store) -> None:
    """Newest first, in pages, by actor."""
    for at in range(5):
        entry = audit.Entry(
            "acme", traffic.BASE_MS + at, "ana" if at else "bia", "data.erase", detail='{"n":1}'
        )
        await store.transact(audit.append, entry)
    first = await ask(bus, "audit.list", ld.AuditList(limit=3))
    rest = await ask(bus, "audit.list", ld.AuditList(limit=3, cursor=first.cursor))
    assert [entry.id for entry in [*first.entries, *rest.entries]] == ["5", "4", "3", "2", "1"]
    assert first.entries[0].details == {"n": 1}
    assert len((await ask(bus, "audit.list", ld.AuditList(actor="bia"))).entries) == 1
    assert await refusal(bus, "audit.list", ld.AuditList(since="yesterday")) == ErrorCode.E_INVALID_TIMESTAMP


async def test_questions_stay_within_the_tenant(service: None, bus: Bus, publisher: Publisher) -> None:
    """Another tenant sees nothing of it, an unknown one is refused, and bad arguments have their codes."""
    await traffic.make_tenant(bus, "other")
    await traffic.publish(publisher, traffic.message(1))
    await until_settled(bus)
    chat, person = traffic.contact(1)
    assert (await ask(bus, "chat.list", d.ChatList(), "other")).chats == []
    assert (await ask(bus, "contact.list", d.ContactList(), "other")).contacts == []
    assert (
        await refusal(bus, "chat.messages", d.ChatMessages(chat=chat.key), "other")
        == ErrorCode.E_CHAT_NOT_FOUND
    )
    found = await refusal(bus, "contact.get", d.ContactRef(phone_number=person.pn), "other")
    assert found == ErrorCode.E_CONTACT_NOT_FOUND
    assert await refusal(bus, "chat.list", d.ChatList(), "nobody") == ErrorCode.E_TENANT_NOT_FOUND
    assert await refusal(bus, "chat.list", d.ChatList(cursor="?")) == ErrorCode.E_INVALID_CURSOR
    assert await refusal(bus, "chat.list", d.ChatList(cursor="oQ")) == ErrorCode.E_INVALID_CURSOR
    assert await refusal(bus, "chat.messages", d.ChatMessages(to="x")) == ErrorCode.E_INVALID_PHONE
    assert await refusal(bus, "chat.messages", {}) == ErrorCode.E_MISSING_FIELD
