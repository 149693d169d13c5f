"""Tenants' figures, printed: times are not asserted, since another machine or a busy one has others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.benchmarks import accounts, rig, tenants


@pytest.mark.timeout(600)
def test_a_flood_beside_a_tenant_at_work(tmp_path: Path) -> None:
    """A publishes at ten times its quota; B's latency, quiet and meanwhile."""
    rig.table("Fairness", asyncio.run(tenants.fairness(tmp_path, 20)))


@pytest.mark.timeout(600)
def test_one_more_account_beside_a_thousand(tmp_path: Path) -> None:
    """By a reload of the configuration, and as a token."""
    rig.table("One more account", accounts.both(tmp_path, 1000))


@pytest.mark.timeout(3600)
def test_a_thousand_tenants(tmp_path: Path) -> None:
    """Starts, memory, and one more."""
    rig.table("1,000 tenants", asyncio.run(tenants.thousand(tmp_path, 1000)))
