"""Fixtures that every kind of test shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import NatsServer, running_nats_server, scanning

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """After everything: are secrets, numbers or texts where docs/SECURITY.md does not name them?"""
    if (factory := getattr(config, "_tmp_path_factory", None)) is None:
        return
    count, found = scanning.report(factory.getbasetemp())
    if count:
        terminalreporter.write_line(
            f"scanned what {count} fleets left: {len(found)} places that tell too much"
        )
    for hit in found:
        terminalreporter.write_line(f"TOLD {hit}")


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A real nats-server of the test's own, with JetStream in its temporary directory."""
    with running_nats_server(tmp_path / "nats") as server:
        yield server
