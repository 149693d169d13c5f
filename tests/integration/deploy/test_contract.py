"""The images that the compose file names, as real containers: our broker configuration and our storage work on them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker import secrets, tenants
from pywhatsweb_fleet.cli import main
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from tests.support.compose import inspect, no_engine

NATS, POSTGRES = "nats:2.15-alpine", "postgres:16"
pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := no_engine():
        pytest.skip(reason)
    for image in (NATS, POSTGRES):
        if not inspect(image, "{{.Id}}"):
            pytest.skip(f"{image} is not on this engine (docker pull {image})")
    # The reaper is an image of its own that need not be here; the with blocks below remove what they made.
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    assert main.run(["setup", "--dir", str(tmp_path), "--tenant", "demo", "--store-dir", "/tmp/streams"]) == 0  # noqa: S108
    return tmp_path


@pytest.fixture
def nats_url(setup: Path) -> Iterator[str]:
    """A broker with the configuration that `pww setup` wrote."""
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer(NATS)
        .with_command(["nats-server", "-c", "/secrets/nats.conf"])
        .with_volume_mapping(str(setup / "nats"), "/secrets", "ro")
        .with_exposed_ports(4222)
        .with_kwargs(user=f"{os.getuid()}:{os.getgid()}")
    )
    with container:
        yield f"nats://127.0.0.1:{container.get_exposed_port(4222)}"


@pytest.fixture
def database_url() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer(POSTGRES)
        .with_env("POSTGRES_USER", "pww")
        .with_env("POSTGRES_DB", "pww")
        .with_env("POSTGRES_PASSWORD", "made-up")
        .with_exposed_ports(5432)
    )
    with container:
        yield f"postgresql://pww:made-up@127.0.0.1:{container.get_exposed_port(5432)}/pww"


async def _connected(settings: BrokerSettings) -> None:
    """Waits until the broker takes the platform's user and JetStream answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with connect(settings, name="test") as bus:
                    await bus.api("INFO")
                    return
            except Exception:  # noqa: BLE001 - it is starting
                await asyncio.sleep(0.2)


async def _account(bus: Bus) -> set[str]:
    return set((await bus.api("STREAM.NAMES"))["streams"])


async def test_a_broker_in_a_container_takes_a_tenant_and_its_command(nats_url: str, setup: Path) -> None:
    """Streams are made on the official image; the tenant's user publishes a command, and gets JetStream's answer."""
    found = secrets.load(setup)
    assert found is not None
    platform = BrokerSettings(nats_url=nats_url, nats_user="platform", nats_password=found.platform.password)
    await _connected(platform)
    async with connect(platform, name="test") as bus:
        await tenants.ensure_all(bus, ["demo"])
        await tenants.ensure_all(bus, ["demo"])  # again changes nothing
        assert {"WA_CMD_demo", "WA_OUT_demo", "WA_EVT_demo", "WA_DLQ_demo"} <= await _account(bus)
    demo = BrokerSettings(nats_url=nats_url, nats_user="demo", nats_password=found.tenants["demo"].password)
    async with connect(demo, name="test") as user:
        answer = await user.request("wa.cmd.demo.s1.send", b"{}", headers={"Nats-Msg-Id": "c-1"})
        assert b'"stream":"WA_CMD_demo"' in answer.data.replace(b" ", b"")


async def test_postgresql_in_a_container_takes_the_schema(database_url: str) -> None:
    """Migrations run on the official image, by several services at once, and once more."""
    async with asyncio.timeout(120):
        while True:
            store = open_store(database_url)
            try:
                await asyncio.gather(store.migrate(deadline_s=20), store.migrate(deadline_s=20))
                await store.migrate()
                assert store.dialect == "postgresql"
                return
            except Exception:  # noqa: BLE001 - it is starting
                await asyncio.sleep(0.5)
            finally:
                await store.close()
