"""Whatever people write arrives unchanged, both ways; whatever strangers send disturbs nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.kinds import hostile, odd
from tests.e2e.kinds.stage import on_stage
from tests.support.running import Fleet, plain, sandbox

ENGINES = ("baileys",)
"""Of this folder's fleet."""


@pytest.mark.parametrize("engine", ENGINES)
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
@given(batch=st.lists(odd.messages, min_size=12, max_size=12))
async def test_what_is_sent_is_seen_and_what_is_said_is_told(
    fleet: Fleet, engine: str, batch: list[Any]
) -> None:
    """Each is sent; what the contact opened says the same, and sent back by the contact it is told the same."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        stage = await on_stage(program, whatsapp, engine)
        await asyncio.gather(*(odd.there_and_back(stage, kind, content) for kind, content in batch))


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_hostile_contact(fleet: Fleet, engine: str) -> None:
    """Garbage, forged codes, a flood, huge and tricky names, a page that claims to be a picture: told, and no more."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        stage = await on_stage(program, whatsapp, engine)
        before = fleet.reload()["pids"]
        await hostile.garbage(stage)
        await hostile.forged(stage)
        await hostile.large(stage)
        await hostile.disguised(stage)
        await hostile.flood(stage, 1000)
        await stage.sent("text", {"body": "ainda aqui"})
        assert fleet.reload()["pids"] == before, "nothing was restarted"
        assert program.session_status(stage.session) in (None, "WORKING")
