"""Runs by seed: whatever is broken, nothing is lost, doubled or out of order, and everything ends.

``CHAOS_SEEDS=1-50 CHAOS_SECONDS=60 make chaos`` is the long form; one seed again: ``CHAOS_SEEDS=17``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.chaos.run import Plan, run

SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))


def seeds() -> list[int]:
    found: list[int] = []
    for part in os.environ.get("CHAOS_SEEDS", "1-3").split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


@pytest.mark.parametrize("seed", seeds())
async def test_baileys(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tenants of three sessions on the real Baileys; the sandbox's journal is the oracle."""
    await _run(Plan(seed=seed, seconds=SECONDS, every=(1.5, 4)), tmp_path, capsys)


@pytest.mark.parametrize("seed", seeds())
async def test_simulated(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three tenants of forty sessions on the simulated engine, whose own journal is the oracle."""
    plan = Plan(
        seed=seed, seconds=SECONDS, engine="simulated", tenants=3, sessions=40, rate=0.5, every=(1.5, 4)
    )
    await _run(plan, tmp_path, capsys)


async def _run(plan: Plan, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = await run(plan, directory)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.well, str(report)
