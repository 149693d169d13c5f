"""What large files cost in memory."""

import pytest

from tests.benchmarks import media_memory


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_a_large_document_costs_little_memory() -> None:
    """100 MB up, sent and down: under 20 MiB in each of our processes."""
    told = media_memory.main()
    for step in ("up", "sent", "down"):
        for name in ("persistence", "session_worker", "sidecar", "gateway", "client"):
            assert told[step][name] < 20, (step, name)
