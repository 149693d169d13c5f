"""`pww up` with the simulated engine, and the platform's user beside its tenants."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from tests.support.running import Fleet


class Platform:
    """Its control plane, as `pww tenant` uses it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.bus.request(f"wa.ops.{verb}", json.dumps(arguments).encode(), deadline=60)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def ok(self, verb: str, **arguments: Any) -> Any:
        answer = await self.ask(verb, **arguments)
        assert answer["ok"], answer
        return answer["data"]


@contextlib.asynccontextmanager
async def platform(fleet: Fleet) -> AsyncIterator[Platform]:
    user = fleet.ready["platform"]
    where = BrokerSettings(
        nats_url=fleet.ready["nats_url"], nats_user=user["user"], nats_password=user["password"]
    )
    async with connect(where, name="platform") as bus:
        yield Platform(bus)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory: Path = tmp_path_factory.mktemp("tenants")
    running = Fleet(
        directory,
        "--engine",
        "simulated",
        "--tenant",
        "acme",
        "rival",
        env={"PWW_LOG_LEVEL": "debug", "PWW_LOG_FORMAT": "json"},
    )
    running.start()
    yield running
    running.stop()
