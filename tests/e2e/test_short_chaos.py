"""A short seeded run of `tests/chaos`, so that `make test` notices what breaks the guarantees outright."""

from __future__ import annotations

from pathlib import Path

from tests.support.chaos.plan import Plan
from tests.support.chaos.run import run


async def test_a_short_run_by_seed(tmp_path: Path) -> None:
    """Two workers are killed, frozen and stopped under load: nothing lost, doubled or out of order."""
    plan = Plan(
        seed=5,
        seconds=8,
        engine="simulated",
        tenants=2,
        sessions=4,
        rate=4,
        every=(1, 2),
        kinds=("kill:session_worker", "stop:session_worker", "kill:dispatcher", "kill:nats-server"),
        settle_s=40,
    )
    report = await run(plan, tmp_path)
    assert len(report.struck) >= 4
    assert report.well, str(report)
