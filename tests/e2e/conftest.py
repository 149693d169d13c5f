"""One fleet for the whole folder: `pww up` with the sandbox and two tenants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Fleet


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory: Path = tmp_path_factory.mktemp("fleet")
    running = Fleet(
        directory,
        "--tenant",
        "demo",
        "--tenant",
        "acme",
        env={"PWW_LOG_LEVEL": "debug", "PWW_LOG_FORMAT": "json", "PWW_METRICS_LABELS": "session"},
    )
    running.start()
    yield running
    running.stop()
