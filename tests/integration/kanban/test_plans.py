"""The board's questions are answered from an index, whatever the size of the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy import event as sql_event

from pywhatsweb_fleet.storage import boards, kanban
from pywhatsweb_fleet.storage.boards import Card
from pywhatsweb_fleet.storage.statements import query
from pywhatsweb_fleet.storage.store import Store, open_store

QUESTIONS: dict[str, Any] = {
    "card": lambda conn: kanban.card(conn, "acme", "c", "s1"),
    "cards of": lambda conn: kanban.cards_of(conn, "acme", "c"),
    "history": lambda conn: kanban.history(conn, "acme", "c", "s1", below=9, limit=5),
    "due": lambda conn: kanban.cards_due(conn, "acme", 9, 5),
    "tenants due": lambda conn: kanban.tenants_due(conn, 9),
    "owned": lambda conn: kanban.look_at_owned(conn, "acme", "ana", 9),
    "queue": lambda conn: kanban.look_at_queue(conn, "acme", 9, 5),
    "joined": lambda conn: kanban.look_at_joined(conn, "acme", 9),
    "loads": lambda conn: kanban.loads(conn, "acme"),
}


async def test_nothing_reads_the_whole_board(tmp_path: Path) -> None:
    """SQLite's plans search an index of the cards or of the log; only the small tables may be scanned."""
    store = open_store(f"sqlite:///{tmp_path}/plans.db")
    await store.migrate()

    def plans(conn: Connection, ask: Any) -> list[str]:
        statements: list[tuple[str, Any]] = []

        def note(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
            statements.append((sql, parameters))

        sql_event.listen(conn, "before_cursor_execute", note)
        ask(conn)
        sql_event.remove(conn, "before_cursor_execute", note)
        return [
            row[3] for sql, given in statements for row in query(conn, f"EXPLAIN QUERY PLAN {sql}", *given)
        ]

    for name, ask in QUESTIONS.items():
        found = [plan for plan in await store.transact(plans, ask) if "kanban_" in plan]
        assert found, name
        assert not [plan for plan in found if plan.startswith("SCAN")], (name, found)
    await store.close()


async def test_a_tag_is_no_assignment(store: Store) -> None:
    """What chat.list shows of an assignment stays when a later event of the active card comes."""

    def tell(conn: Connection, *moves: tuple[str, str, str, int]) -> tuple[int, str | None]:
        for status, owner, by, at in moves:
            boards.record_cards(conn, [Card("acme", "s1", "c1", None, None, None, status, owner, by, at)])
        row = boards.by_key(conn, "acme", "c1")[0]
        return row.assigned_at, row.assigned_by

    assert await store.transact(tell, ("active", "ana", "chefe", 5), ("active", "ana", "bia", 7)) == (
        5,
        "chefe",
    )
    assert await store.transact(tell, ("active", "bia", "ana", 9)) == (9, "ana")
