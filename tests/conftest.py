"""Fixtures that every kind of test shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import NatsServer, running_nats_server

# How fast examples are made says how busy the machine is, and nothing of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

HERE = Path(__file__).resolve().parent
MARKED_FOLDERS = {"chaos": pytest.mark.chaos, "benchmarks": pytest.mark.benchmark}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, before -m selects: a chaos test cannot slip into `make test`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            mark = MARKED_FOLDERS.get(item.path.relative_to(HERE).parts[0])
            if mark is not None:
                item.add_marker(mark)


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A real nats-server of the test's own, with JetStream in its temporary directory."""
    with running_nats_server(tmp_path / "nats") as server:
        yield server
