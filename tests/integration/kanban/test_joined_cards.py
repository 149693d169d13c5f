"""A policy that joins the cards of an inbox's sessions: one card a person, switched on and off, through kills."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts import events
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb_fleet.kanban.board import Card, MessageIn
from pywhatsweb_fleet.kanban.handlers import Advance, Said, settle
from pywhatsweb_fleet.kanban.recording import card_of
from pywhatsweb_fleet.storage import audit, boards, conversation, inboxes, kanban
from pywhatsweb_fleet.storage.boards import Activity
from pywhatsweb_fleet.storage.conversation import MessageRow
from pywhatsweb_fleet.storage.inboxes import InboxRow
from pywhatsweb_fleet.storage.kanban import Place, PolicyRow
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.kanban.conftest import Start, Tenant
from tests.integration.persistence.traffic import BASE_MS, KEY, contact, message, publish
from tests.support import wait_until

INBOX = InboxRow("acme", "@support", ("s1", "s2"), "least_contacts", "banned", 600, 1, None)
ONE, TWO = contact(1)[0].key, contact(2)[0].key
JOINED = Policy(cards="by_inbox")


def said(n: int, who: int, session: str) -> events.MessageEvent:
    event: events.MessageEvent = message(n, who=who)
    return msgspec.structs.replace(event, session_id=session)


async def cards(store: Store, *people: int) -> dict[tuple[str, str], Card]:
    found = {}
    for who in people:
        for row in await store.read(kanban.cards_of, "acme", contact(who)[0].key):
            found[row.chat, row.session] = card_of(row)
    return found


async def test_two_numbers_one_card(
    service: None, tenant: Tenant, publisher: Publisher, store: Store
) -> None:
    """Cards of before come together, with what they had; from then on there is one; then each is its own again."""
    await store.transact(inboxes.put, INBOX)
    await publish(publisher, said(1, 1, "s1"), said(2, 1, "s2"), said(3, 2, "s2"))
    await wait_until(lambda: len(tenant.of("chat")) == 3, 60, message="three cards are opened")
    await tenant.ask("chat.assign", chat=ONE, session_id="s1", owner_id="ana", by="ana")
    await tenant.ask("chat.tag", chat=ONE, session_id="s2", add=["vip"], priority="high", by="bia")
    await tenant.ask("chat.note", chat=ONE, session_id="s2", text="called", by="bia")

    await tenant.ask("policy.set", policy={"cards": "by_inbox"}, by="chefe")
    await wait_until(lambda: any(one.get("joined_to") == "s1" for one in tenant.of("chat", ONE)), 60)
    card = await tenant.ask("chat.card", chat=ONE, session_id="s2")
    assert (card.session_id, card.inbox_id, card.status, card.owner_id) == ("s1", "@support", "active", "ana")
    assert (card.tags, card.priority, [note.text for note in card.notes]) == (["vip"], "high", ["called"])

    await tenant.ask("chat.done", chat=ONE, session_id="s2", by="ana")
    await publish(publisher, said(4, 1, "s2"), said(5, 2, "s1"))
    await wait_until(lambda: tenant.of("chat", ONE)[-1]["reason"] == "cliente_respondeu", 60)
    await wait_until(lambda: any(one.get("joined_to") == "s2" for one in tenant.of("chat", TWO)), 60)
    assert (await tenant.ask("chat.card", chat=ONE)).session_id == "s1"
    assert (await tenant.ask("chat.card", chat=TWO, session_id="s1")).session_id == "s2"
    found = await cards(store, 1, 2)
    assert {place for place, card in found.items() if card.status == "new"} == {(ONE, "s1"), (TWO, "s2")}

    await tenant.ask("policy.set", policy={}, by="chefe")

    async def parted() -> bool:
        return not any(card.inbox or card.joined_to for card in (await cards(store, 1, 2)).values())

    await wait_until(parted, 60, message="each is its own again")
    assert (await tenant.ask("chat.card", chat=ONE, session_id="s2")).notes[0].text == "called"
    await publish(publisher, said(6, 1, "s2"))

    async def reopened() -> bool:
        return bool((await tenant.ask("chat.card", chat=ONE, session_id="s2")).status == "new")

    await wait_until(reopened, 60)
    history = await tenant.ask("chat.history", chat=ONE, session_id="s2")
    assert [one.change for one in reversed(history.changes)] == [
        "opened", "tagged", "noted", "joined", "parted", "reopened",
    ]  # fmt: skip
    actions = {one.entry.action for one in await store.read(audit.page, "acme", limit=100)}
    assert {"chat.joined", "chat.absorbed", "chat.parted"} <= actions
    assert await store.read(audit.first_flaw, "acme") is None


async def test_a_kill_gives_the_joined_board_of_a_replay(  # noqa: PLR0917 - fixtures
    tenant: Tenant, publisher: Publisher, store: Store, database_url: str, start: Start, tmp_path: Path
) -> None:
    """Two numbers' messages while a replica is killed: card for card what one pass over the log gives."""
    chance = random.Random(5)
    log = [said(n, chance.randrange(8), chance.choice(("s1", "s2", "s3"))) for n in range(160)]

    def prepare(conn: Connection) -> None:
        inboxes.put(conn, INBOX)
        kanban.save_policy(conn, "acme", PolicyRow(msgspec.json.encode(JOINED).decode(), 1, None))

    def replay(conn: Connection) -> None:
        told = [
            Said(one.session_id, MessageIn(one.id, BASE_MS + n, one.data.chat)) for n, one in enumerate(log)
        ]
        settle(conn, TenantId("acme"), KEY, told, Advance(None, Place("s", 1, "me", 0)))

    once = open_store(f"sqlite:///{tmp_path}/once.db")
    await once.migrate()
    await once.transact(prepare)
    await once.transact(replay)
    expected = await cards(once, *range(8))
    await once.close()
    assert {session for (_, session), card in expected.items() if card.joined_to} == {"s1", "s2"}

    await store.transact(prepare)
    first = start(database_url)
    await publish(publisher, *log[:80])
    await wait_until(lambda: tenant.of("chat"), 90, message="it has begun")
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    start(database_url)
    await publish(publisher, *log[80:])

    async def same() -> bool:
        return await cards(store, *range(8)) == expected

    await wait_until(same, 90, interval=0.2, message="the board equals the replay")
    versions = sum(card.version for card in expected.values())
    await wait_until(lambda: len(tenant.of("chat")) >= versions, 60)
    assert len(tenant.of("chat")) == versions


async def test_a_list_shows_one_chat_with_what_was_said_in_all(store: Store) -> None:
    """The chat that joined another's card is left out, its messages count for that one, also those that came before."""

    def tell(conn: Connection, *said: tuple[str, int, int]) -> None:
        boards.record_activity(
            conn, [Activity("acme", one, "c", "+551", None, None, *at) for one, *at in said]
        )
        boards.follow_joined(conn, [("acme", one, "c") for one, *_ in said])

    def join(conn: Connection, session: str, joined_to: str | None, at: int) -> None:
        status = "done" if joined_to else "new"
        boards.record_cards(
            conn,
            [
                boards.Card(
                    "acme", session, "c", "+551", None, None, status, None, None, at, "@support", joined_to
                )
            ],
        )
        boards.follow_joined(conn, [("acme", session, "c")])

    async def listed() -> list[tuple[str, int, int, int]]:
        rows = await store.read(boards.page, "acme")
        counts = await store.read(boards.unread, "acme", rows)
        return [
            (row.session, row.last_at, row.last_outbound_at, counts.get((row.session, "c"), 0))
            for row in rows
        ]

    messages = [
        MessageRow(
            "acme", f"m{at}", f"e{at}", at, session, "c", "message", "text", "inbound", False, "+551", None, None,
            None, None, "", "{}", at,
        )
        for session, at in (("s1", 2), ("s2", 5), ("s2", 9))
    ]  # fmt: skip
    await store.transact(conversation.record_messages, messages[:2])
    await store.transact(tell, ("s1", 2, 3), ("s2", 5, 0))
    await store.transact(join, "s1", None, 6)
    await store.transact(join, "s2", "s1", 6)
    assert await listed() == [("s1", 5, 3, 1)]
    await store.transact(conversation.record_messages, messages[2:])
    await store.transact(tell, ("s2", 9, 0))
    assert await listed() == [("s1", 9, 3, 2)]
    await store.transact(tell, ("s2", 9, 10))
    assert await listed() == [("s1", 10, 10, 0)]
    await store.transact(join, "s2", None, 11)
    assert [row[0] for row in await listed()] == ["s2", "s1"]
