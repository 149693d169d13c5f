"""The library's overhead per command, against its goal."""

from tests.benchmarks import client_overhead


def test_overhead_is_small() -> None:
    """At most 1.3 times the bare client's publish, one by one and together."""
    found = client_overhead.main(300)
    assert max(found.values()) <= client_overhead.GOAL, found
