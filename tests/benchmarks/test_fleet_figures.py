"""The fleet's figures, printed: times are not asserted, since another machine or a busy one has others."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from tests.benchmarks import baileys, gateway, pipeline, rig, sessions


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("tenants", "of_each"), [(1, 40), (100, 10)])
def test_the_pipeline_with_the_simulated_engine(tenants: int, of_each: int) -> None:
    """Command to `sent` event, beside the bare pipeline."""
    asyncio.run(pipeline.run(tenants, of_each, 4000))


@pytest.mark.timeout(900)
def test_baileys_on_the_sandbox(tmp_path: Path) -> None:
    """One session after the other and 40 at once, beside bare Baileys."""
    given = argparse.Namespace(sequential=300, sessions=40, texts=25, flat=3000)
    rig.table("Baileys on the sandbox", asyncio.run(baileys.run(given, tmp_path)))


@pytest.mark.timeout(1800)
def test_ten_thousand_sessions_on_one_worker() -> None:
    """Time until they work, memory, and idle CPU."""
    asyncio.run(sessions.run(10, 10_000))


@pytest.mark.timeout(900)
def test_five_thousand_event_streams_on_one_gateway() -> None:
    """Memory and delay of each, and what sending over HTTP costs beside NATS."""
    gateway.main()
