"""A sidecar engine on a scripted child process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio

from pywhatsweb_fleet.session_worker.engines.sidecar import Config, Launch, SidecarEngine

FAKE = Path(__file__).resolve().parents[2] / "support" / "fake_sidecar.py"
MakeEngine = Callable[..., SidecarEngine]


@pytest_asyncio.fixture
async def make_engine(tmp_path: Path) -> AsyncIterator[MakeEngine]:
    """Engines by the fake's mode, stopped at the end."""
    made: list[SidecarEngine] = []

    def make(mode: str = "good", *, hello_timeout_s: float = 10.0, **more: object) -> SidecarEngine:
        command = (sys.executable, str(FAKE), mode, str(tmp_path / "note"))
        launch = Launch(command=command, hello_timeout_s=hello_timeout_s)
        engine = SidecarEngine("baileys", launch=launch, config=Config(credit=64), worker="w1", **more)  # type: ignore[arg-type]
        made.append(engine)
        return engine

    yield make
    for engine in made:
        await engine.stop()
