"""Token buckets."""

import pytest

from pywhatsweb_fleet.dispatcher.quotas import Quotas, penalty_s
from pywhatsweb_runtime.registry import TenantRecord


def record(tenant: float = 0, session: float = 0) -> TenantRecord:
    return TenantRecord(key=b"k" * 32, commands_per_second=tenant, session_commands_per_second=session)


def test_without_a_quota_nothing_waits() -> None:
    """A rate of 0 means none."""
    quotas = Quotas()
    assert all(quotas.wait(record(), "s", 0.0) == 0 for _ in range(10_000))


def test_a_burst_of_two_seconds_then_the_rate() -> None:
    """10/s: 20 at once, then one each 100 ms, and the wait is told."""
    quotas = Quotas()
    assert [quotas.wait(record(tenant=10), "s", 5.0) for _ in range(20)] == [0.0] * 20
    assert quotas.wait(record(tenant=10), "s", 5.0) == pytest.approx(0.1)
    assert quotas.wait(record(tenant=10), "s", 5.1) == 0
    assert quotas.wait(record(tenant=10), "s", 5.1) > 0


def test_a_session_at_its_limit_leaves_the_tenants_tokens() -> None:
    """A refusal by the session's bucket takes nothing from the tenant's."""
    quotas = Quotas()
    both = record(tenant=2, session=1)
    assert [quotas.wait(both, "a", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert quotas.wait(both, "a", 0.0) > 0
    assert [quotas.wait(both, "b", 0.0) for _ in range(2)] == [0.0, 0.0]


def test_a_slow_rate_lets_one_through() -> None:
    """Half a command a second: one, then none for two seconds."""
    quotas = Quotas()
    slow = record(tenant=0.5)
    assert quotas.wait(slow, "s", 0.0) == 0
    assert quotas.wait(slow, "s", 1.0) == pytest.approx(1.0)
    assert quotas.wait(slow, "s", 2.0) == 0


def test_a_changed_quota_counts_at_once() -> None:
    """A new rate begins with a full bucket."""
    quotas = Quotas()
    for _ in range(2):
        quotas.wait(record(tenant=1), "s", 0.0)
    assert quotas.wait(record(tenant=1), "s", 0.0) > 0
    assert quotas.wait(record(tenant=100), "s", 0.0) == 0


def test_a_flood_takes_its_own_time() -> None:
    """What is refused costs its tenant time: at most four times its rate is dealt with in a second."""
    assert penalty_s(record(), 256) == 0
    assert penalty_s(record(tenant=10), 0) == 0
    assert penalty_s(record(tenant=10), 4) == pytest.approx(0.1)
    assert penalty_s(record(session=10), 4) == pytest.approx(0.1)
    assert penalty_s(record(tenant=1), 256) == 0.5
