"""Every question is answered from an index, whatever the size of the tables: SQLite's plans are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from pywhatsweb.contracts.ids import TenantKey
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import (
    analytics,
    audit,
    boards,
    consents,
    conversation,
    credentials,
    idempotency,
    inbox_choices,
    inboxes,
    optouts,
    people,
    search,
    sessions,
    usage,
)
from pywhatsweb_fleet.storage.boards import ChatRow
from pywhatsweb_fleet.storage.inbox_terms import Standing, Wanted
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import open_store
from tests.integration.storage.test_conversation import a_message, a_status
from tests.integration.storage.test_idempotency import a_claim, step

WRITES = [
    optouts.Wish("pn:+5511999990001", "s1", marketing=False),
    optouts.Wish("lid:7", "s1", marketing=True),
]
KEYRING = Keyring([bytes(32)])
CHAT = ChatRow("s1", "c1", None, None, None, 9, 9, 1, None, None, 0, None, 0, None)
WISH = search.Wish(search.terms('a "phrase here" wor*'), session="s1", chats=("c1",), since=1)
Question = Callable[[Connection], Any]


def choose_for_inbox(conn: Connection) -> None:
    """For somebody new, and again when their session is lost."""
    key = TenantKey(bytes(32))
    inbox = inboxes.InboxRow("acme", "@in", ("s1", "s2"), "least_contacts", "banned", 600, 1, None)
    for seq, banned in enumerate((False, True), 1):
        wish = Wanted("@in", f"c{seq}", seq, "pn:+5511999990001", "c1", 1, 9)
        standing = Standing(exists=True, works=not banned, banned=banned)
        inbox_choices.choose(conn, "acme", key, [wish], {"@in": inbox}, lambda _: standing, {}, seq)  # noqa: B023


QUESTIONS: dict[str, Question] = {
    "claim": lambda conn: idempotency.claim(conn, [a_claim("c1", 1), a_claim("c2", 2)]),
    "claim again": lambda conn: idempotency.claim(conn, [a_claim("c1", 7)]),
    "outcome": lambda conn: idempotency.outcome(conn, [step("c1", MessageStatus.SENT)]),
    "lookup": lambda conn: idempotency.lookup(conn, "acme", "c1"),
    "by message": lambda conn: idempotency.by_message(conn, "acme", ["M1", "M2"]),
    "expire": lambda conn: idempotency.expire(conn, 1),
    "keys": lambda conn: credentials.get_keys(conn, KEYRING, "acme", "s1", "session", ["1", "2"]),
    "write keys": lambda conn: credentials.write(
        conn, KEYRING, "acme", "s1", 1, b"x", [("session", "1", None)]
    ),
    "record messages": lambda conn: conversation.record_messages(conn, [a_message(n) for n in range(70)]),
    "record statuses": lambda conn: conversation.record_statuses(conn, [a_status("e", "sent", 3)]),
    "page": lambda conn: conversation.page(conn, "acme", ["c1"], None, conversation.Position(5, "e"), 50),
    "oldest": lambda conn: conversation.oldest(conn, "acme", "c1", "s1"),
    "changes": lambda conn: conversation.about(conn, "acme", ["M1"]),
    "by ids": lambda conn: conversation.by_ids(conn, "acme", ["M1"]),
    "statuses": lambda conn: conversation.statuses_of(conn, "acme", ["M1"]),
    "command": lambda conn: conversation.command_history(conn, "acme", "c1"),
    "message": lambda conn: conversation.message_history(conn, "acme", "M1"),
    "search": lambda conn: search.find(conn, "acme", WISH, search.Place(5, "e", 5), 50),
    "counts": lambda conn: analytics.counts(conn, "acme", analytics.Span(1, 2)),
    "answered": lambda conn: analytics.answered(conn, "acme", analytics.Span(1, 2)),
    "waiting": lambda conn: analytics.waiting(conn, "acme", analytics.Span(1, 2)),
    "opted out": lambda conn: optouts.blocked(conn, "acme", TenantKey(bytes(32)), WRITES, 9),
    "inbox": choose_for_inbox,
    "inbox's people": lambda conn: inboxes.people(conn, "acme", "@in"),
    "forget inbox": lambda conn: inboxes.expire(conn, 1),
    "opt-outs": lambda conn: optouts.page(conn, "acme", "", 50),
    "agreed": lambda conn: consents.standing(conn, "acme", "marketing", ["c1", "c2"]),
    "consents": lambda conn: consents.page(conn, "acme", None, consents.Place("", ""), 50),
    "chats": lambda conn: boards.page(conn, "acme", after=boards.Position(5, "c", "s")),
    "chat": lambda conn: boards.by_key(conn, "acme", "c1"),
    "unread": lambda conn: boards.unread(conn, "acme", [CHAT]),
    "contact by number": lambda conn: people.get(conn, "acme", pn="+551"),
    "contact by LID": lambda conn: people.get(conn, "acme", lid="11"),
    "contacts": lambda conn: people.page(conn, "acme", "lid:", 50),
    "names": lambda conn: people.names_of(conn, "acme", ["lid:11"]),
    "group": lambda conn: sessions.group_names(conn, "acme", ["1203"]),
    "usage": lambda conn: usage.of_day(conn, "acme", 5),
    "strangers": lambda conn: usage.strangers(conn, "acme", [usage.Person("c1", "+551")], str),
    "strangers to": lambda conn: usage.strangers_to(conn, "acme", [("s1", usage.Person("c1", "+551"))], str),
    "reach": lambda conn: usage.reach(conn, "acme", ["c1"], 1),
    "forget reached": lambda conn: usage.forget_reached(conn, 1),
    "forget reached by": lambda conn: usage.forget_reached_by(conn, 1),
    "audit": lambda conn: audit.page(conn, "acme", below=9),
}
WHOLE_TENANT_IN_ORDER = {"chats", "audit", "contacts"}
"""Pages of a whole tenant: read in the order of an index, until the page is full."""


@pytest.mark.parametrize("name", QUESTIONS)
async def test_nothing_reads_a_whole_tenant(name: str, tmp_path: Path) -> None:
    """No scan of a table, and no search by the tenant alone (or by tenant and session)."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    await store.migrate()

    def plans(conn: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []

        def remember(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
            asked.append((statement, parameters))

        event.listen(conn, "before_cursor_execute", remember)
        QUESTIONS[name](conn)
        event.remove(conn, "before_cursor_execute", remember)
        return [
            row[3]
            for sql, values in asked
            for row in conn.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, values)
        ]

    steps = await store.transact(plans)
    await store.close()
    assert steps
    for one in steps:
        in_memory = (
            one.startswith(
                (
                    "SCAN json_each",
                    "SCAN batch",
                    "SCAN seen",
                    "SCAN (subquery",
                    "SCAN said",
                    "SCAN turns",
                    "SCAN waits",
                    "SCAN both_ways",
                    "SCAN ranked",
                    "SCAN message_search VIRTUAL TABLE",
                )
            )
            or "CONSTANT ROW" in one
        )
        assert in_memory or "SCAN" not in one, steps
        if name not in WHOLE_TENANT_IN_ORDER:
            fences = one.startswith("SEARCH f ")  # tenant and session are their whole key
            assert fences or not one.endswith(("(tenant=?)", "(tenant=? AND session=?)")), steps
        elif "TEMP B-TREE" in one:
            assert "RIGHT PART" in one or "LAST TERM" in one, steps
