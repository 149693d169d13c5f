"""What sessions in browsers cost, held to what docs/OPERATIONS.md tells their operator to count on."""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks import browsers

MOST_MB = 400


@pytest.mark.benchmark
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium is here")
@pytest.mark.timeout(900)
async def test_a_browser_stays_within_its_share() -> None:
    figures = await browsers.measure(4)
    print(figures)
    assert figures.browser_mb < MOST_MB
