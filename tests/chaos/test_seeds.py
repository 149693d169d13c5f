"""Runs by seed: whatever is broken, nothing is lost, doubled or out of order, and everything ends.

``make chaos SEEDS=1-50 SECONDS=60 STORE=postgres`` is the long form; one seed again: ``make chaos SEEDS=17``.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.chaos.__main__ import seeds
from tests.support.chaos.plan import Plan, Store, thirty_on_baileys, thousand_simulated
from tests.support.chaos.run import prepare, run


def asked(name: str, usual: str) -> str:
    """What ``make chaos`` was given."""
    return os.environ.get(f"CHAOS_{name}") or usual


SECONDS = float(asked("SECONDS", "30"))
SEEDS = seeds(asked("SEEDS", "1-2"))
STORES: list[Store] = [store for store in ("sqlite", "postgres") if asked("STORE", store) == store]
RESULTS = asked("RESULTS", "")

pytestmark = pytest.mark.timeout(SECONDS + 400)


def only(engine: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(asked("ENGINE", engine) != engine, reason="another engine was asked for")


@pytest.fixture(scope="module", params=STORES)
def linked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty sessions of three tenants, linked once; named after the store that they are in."""
    base = tmp_path_factory.mktemp("linked")
    store: Store = request.param
    template = base / store
    asyncio.run(prepare(thirty_on_baileys(0, 0, store), base / "first", template))
    return template


@only("baileys")
@pytest.mark.parametrize("seed", SEEDS)
async def test_baileys(seed: int, linked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three tenants of ten sessions on the real Baileys; the sandbox's journal is the oracle."""
    store: Store = "postgres" if linked.name == "postgres" else "sqlite"
    await _run(thirty_on_baileys(seed, SECONDS, store), tmp_path, capsys, template=linked)


@only("simulated")
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", SEEDS)
async def test_simulated(seed: int, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four tenants of 250 sessions on the simulated engine, whose own journal is the oracle."""
    await _run(thousand_simulated(seed, SECONDS, store), tmp_path, capsys)


async def _run(
    plan: Plan, directory: Path, capsys: pytest.CaptureFixture[str], *, template: Path | None = None
) -> None:
    report = await run(plan, directory, template)
    with capsys.disabled():
        print(f"\n{report}")
    if RESULTS:
        report.note(Path(RESULTS))
    assert report.well, str(report)
