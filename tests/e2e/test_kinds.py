"""Each cell of docs/KINDS.md: what is sent is shown, what is shown to the session is told; and the table itself."""

from __future__ import annotations

import pytest

from tests.e2e.kinds import table
from tests.e2e.kinds.cases import CASES, Case
from tests.e2e.kinds.stage import on_stage
from tests.support.running import Fleet, plain, sandbox

HERE = ("baileys",)
"""Engines of this folder's fleet. A browser's sessions have one of their own (`test_webjs`)."""


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind} {case.direction}")
async def test_a_cell(fleet: Fleet, engine: str, case: Case) -> None:
    """On the real library against the sandbox."""
    if (reason := table.REASONS[engine].get((case.kind, case.direction))) is not None:
        pytest.skip(reason)
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await case.run(await on_stage(program, whatsapp, engine))


def test_the_table_is_as_the_tests_are() -> None:
    """``python -m tests.e2e.kinds.table`` makes it."""
    assert table.FILE.read_text("utf-8") == table.render()


@pytest.mark.parametrize("engine", HERE)
async def test_what_an_engine_cannot_is_refused_before_it_is_queued(fleet: Fleet, engine: str) -> None:
    """Engine and kind stand in the error; nothing of it reaches the session's queue."""
    flow = {
        "type": "product",
        "action": {"catalog_id": "1", "product_retailer_id": "2"},
    }
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        stage = await on_stage(program, whatsapp, engine)
        told = await stage.ended({"type": "interactive", "interactive": flow})
        assert (told["status"], told["error"]["code"]) == ("rejected", "E_UNSUPPORTED_TYPE")
        assert told["error"]["details"] == {"engine": engine, "kind": "interactive.product"}
        known = await program.ok("session.capabilities", session_id=stage.session)
        assert {"text", "image", "reaction"} <= set(known["kinds"])
        assert "interactive.product" not in known["kinds"]
        vote = await stage.ended({"message_id": "3EB0", "options": ["a"]}, "vote")
        assert vote["error"]["details"] == {"engine": engine, "kind": "vote"}
