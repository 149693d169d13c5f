"""Three brokers with the configuration that `pww setup` writes: replication, and what the fleet needs of them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker import secrets, tenants
from pywhatsweb_fleet.cli import main
from pywhatsweb_runtime.bus import ApiError, BrokerSettings, BrokerUnavailable, connect
from pywhatsweb_runtime.publisher import publishing
from tests.support.compose import free_port

NATS_SERVER = Path(sys.executable).with_name("nats-server")
NODES = ("n-1", "n-2", "n-3")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[BrokerSettings]:
    """Each node has what its container would have, but for addresses of its own on this one machine."""
    assert main.run(["setup", "--dir", str(tmp_path), "--tenant", "demo", "--cluster", *NODES]) == 0
    clients = {node: free_port() for node in NODES}
    routes = {node: free_port() for node in NODES}
    with contextlib.ExitStack() as stack:
        for node in NODES:
            home = tmp_path / node
            home.mkdir()
            one = (tmp_path / "nats" / "nats.conf").read_text()
            one = one.replace("port: 4222", f"port: {clients[node]}").replace('"0.0.0.0"', '"127.0.0.1"')
            one = one.replace('"/data"', f'"{home}"').replace('http: "0.0.0.0:8222"', "")
            (home / "nats.conf").write_text(one)
            many = (
                (tmp_path / "nats" / "cluster.conf")
                .read_text()
                .replace("0.0.0.0:6222", f"127.0.0.1:{routes[node]}")
            )
            for other in NODES:
                many = many.replace(f"@{other}:6222", f"@127.0.0.1:{routes[other]}")
            (home / "cluster.conf").write_text(many)
            log = stack.enter_context((home / "log").open("wb"))
            process = subprocess.Popen(
                [NATS_SERVER, "-c", home / "cluster.conf"], env={"SERVER_NAME": node}, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        found = secrets.load(tmp_path)
        assert found is not None
        yield BrokerSettings(
            nats_url=",".join(f"nats://127.0.0.1:{port}" for port in clients.values()),
            nats_user="platform",
            nats_password=found.platform.password,
        )


async def _provisioned(settings: BrokerSettings) -> None:
    async with asyncio.timeout(60), connect(settings, name="test") as bus:
        while True:
            try:
                return await tenants.ensure_all(bus, ["demo"], 3)
            except (ApiError, BrokerUnavailable):  # no leader yet
                await asyncio.sleep(0.2)


async def test_every_stream_has_three_replicas(cluster: BrokerSettings) -> None:
    """The nodes find one another by the routes' password, and everything that is provisioned is R3."""
    await _provisioned(cluster)
    async with connect(cluster, name="test") as bus:
        names = (await bus.api("STREAM.NAMES"))["streams"]
        assert len(names) >= 8
        for name in names:
            assert (await bus.api(f"STREAM.INFO.{name}"))["config"]["num_replicas"] == 3, name


@pytest.mark.xfail(
    strict=True,
    raises=ApiError,
    reason="nats-server 2.15.1 refuses, on a replicated stream, a message whose expected-last-subject-sequence names a "
    "subject of which another such message is in flight (10164, not 10071): events are fenced, and pipelined",
)
async def test_fenced_events_of_one_session_are_stored_while_others_are_in_flight(
    cluster: BrokerSettings,
) -> None:
    """As a session worker publishes: many events at once, each fenced by the session's ownership record."""
    await _provisioned(cluster)
    async with connect(cluster, name="test") as bus, publishing(bus) as publisher:
        epoch = await bus.compare_and_set("wai.own.demo.s1", b"x", 0, {"Nats-Rollup": "sub"})
        fence = {
            "Nats-Expected-Last-Subject-Sequence": str(epoch),
            "Nats-Expected-Last-Subject-Sequence-Subject": "wa.own.demo.s1",
        }
        submitted = [
            await publisher.submit("wai.evt.demo.s1.message.-", b"x", {"Nats-Msg-Id": f"e{number}", **fence})
            for number in range(20)
        ]
        for outcome in await asyncio.gather(*submitted, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
