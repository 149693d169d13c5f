"""Runs by seed: whatever is broken, nothing is lost, doubled or out of order, and everything ends.

``make chaos SEEDS=1-50 SECONDS=60 STORE=postgres`` is the long form; one seed again: ``make chaos SEEDS=17``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chaos.__main__ import seeds
from tests.support.chaos.plan import SHAPES, Engine, Plan, Store
from tests.support.chaos.run import prepare, run


def asked(name: str, usual: str) -> str:
    """What ``make chaos`` was given."""
    return os.environ.get(f"CHAOS_{name}") or usual


SECONDS = float(asked("SECONDS", "30"))
SEEDS = seeds(asked("SEEDS", "1-2"))
STORES: list[Store] = [store for store in ("sqlite", "postgres") if asked("STORE", store) == store]
RESULTS = asked("RESULTS", "")

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.timeout(SECONDS + 400)


def only(engine: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(asked("ENGINE", engine) != engine, reason="another engine was asked for")


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    asked_for: Store = request.param
    return asked_for


@pytest.fixture(scope="module")
def linked(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Engine], Path]:
    """Sessions of an engine, linked once in this store; every seed starts from a copy."""
    base = tmp_path_factory.mktemp("linked")

    @functools.cache
    def template(engine: Engine) -> Path:
        asyncio.run(prepare(SHAPES[engine](0, 0, store), base / f"first-{engine}", base / engine))
        return base / engine

    return template


@only("baileys")
@pytest.mark.parametrize("seed", SEEDS)
async def test_baileys(
    seed: int, store: Store, linked: Callable[[Engine], Path], tmp_path: Path, capsys: Capture
) -> None:
    """Three tenants of ten sessions on the real Baileys; the sandbox's journal is the oracle."""
    template = await asyncio.to_thread(linked, "baileys")
    await _run(SHAPES["baileys"](seed, SECONDS, store), tmp_path, capsys, template=template)


@only("webjs")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium is here")
@pytest.mark.parametrize("seed", SEEDS)
async def test_webjs(
    seed: int, store: Store, linked: Callable[[Engine], Path], tmp_path: Path, capsys: Capture
) -> None:
    """Two tenants of two sessions on the real whatsapp-web.js, each in its Chromium; the oracle is the same."""
    template = await asyncio.to_thread(linked, "webjs")
    await _run(SHAPES["webjs"](seed, SECONDS, store), tmp_path, capsys, template=template)


@only("simulated")
@pytest.mark.parametrize("seed", SEEDS)
async def test_simulated(seed: int, store: Store, tmp_path: Path, capsys: Capture) -> None:
    """Four tenants of 250 sessions on the simulated engine, whose own journal is the oracle."""
    await _run(SHAPES["simulated"](seed, SECONDS, store), tmp_path, capsys)


async def _run(plan: Plan, directory: Path, capsys: Capture, *, template: Path | None = None) -> None:
    report = await run(plan, directory, template)
    with capsys.disabled():
        print(f"\n{report}")
    if RESULTS:
        report.note(Path(RESULTS))
    assert report.well, str(report)
