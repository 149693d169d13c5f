"""Three brokers with the configuration that `pww setup` writes: replication, and a whole fleet that loses one."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.broker import secrets, tenants
from pywhatsweb_fleet.cli import main
from pywhatsweb_fleet.dispatcher import app as dispatcher_app
from pywhatsweb_fleet.dispatcher import settings as dispatcher
from pywhatsweb_fleet.kanban import app as kanban_app
from pywhatsweb_fleet.kanban import settings as kanban
from pywhatsweb_fleet.persistence import app as persistence_app
from pywhatsweb_fleet.persistence import settings as persistence
from pywhatsweb_fleet.session_worker import app as worker_app
from pywhatsweb_fleet.session_worker import settings as session_worker
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import (
    WRONG_LAST_SEQUENCE,
    ApiError,
    BrokerSettings,
    BrokerUnavailable,
    Bus,
    Stored,
    connect,
)
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.publisher import publishing
from tests.support import wait_until
from tests.support.compose import free_port

NATS_SERVER = Path(sys.executable).with_name("nats-server")
NODES = ("n-1", "n-2", "n-3")


class Cluster:
    """Each node has what its container would have, but for addresses of its own on this one machine."""

    def __init__(self, directory: Path) -> None:
        assert main.run(["setup", "--dir", str(directory), "--tenant", "demo", "--cluster", *NODES]) == 0
        self._directory = directory
        self._clients = {node: free_port() for node in NODES}
        self._routes = {node: free_port() for node in NODES}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        found = secrets.load(directory)
        assert found is not None
        self.settings = BrokerSettings(
            nats_url=",".join(f"nats://127.0.0.1:{port}" for port in self._clients.values()),
            nats_user="platform",
            nats_password=found.platform.password,
        )

    def start(self, node: str) -> None:
        home = self._directory / node
        home.mkdir()
        one = (self._directory / "nats" / "nats.conf").read_text()
        one = one.replace("port: 4222", f"port: {self._clients[node]}").replace('"0.0.0.0"', '"127.0.0.1"')
        one = one.replace('"/data"', f'"{home}"').replace('http: "0.0.0.0:8222"', "")
        (home / "nats.conf").write_text(one)
        many = (self._directory / "nats" / "cluster.conf").read_text()
        many = many.replace("0.0.0.0:6222", f"127.0.0.1:{self._routes[node]}")
        for other in NODES:
            many = many.replace(f"@{other}:6222", f"@127.0.0.1:{self._routes[other]}")
        (home / "cluster.conf").write_text(many)
        with (home / "log").open("wb") as log:
            self._processes[node] = subprocess.Popen(
                [NATS_SERVER, "-c", home / "cluster.conf"], env={"SERVER_NAME": node}, stdout=log, stderr=log
            )

    def kill(self, node: str) -> None:
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for node in list(self._processes):
            self.kill(node)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        for node in NODES:
            made.start(node)
        yield made
    finally:
        made.stop()


async def _provisioned(settings: BrokerSettings) -> None:
    async with asyncio.timeout(60), connect(settings, name="test") as bus:
        while True:
            try:
                return await tenants.ensure_all(bus, ["demo"], 3)
            except (ApiError, BrokerUnavailable):  # no leader yet
                await asyncio.sleep(0.2)


async def test_every_stream_has_three_replicas(cluster: Cluster) -> None:
    """The nodes find one another by the routes' password, and everything that is provisioned is R3."""
    await _provisioned(cluster.settings)
    async with connect(cluster.settings, name="test") as bus:
        names = (await bus.api("STREAM.NAMES"))["streams"]
        assert len(names) >= 8
        for name in names:
            assert (await bus.api(f"STREAM.INFO.{name}"))["config"]["num_replicas"] == 3, name


async def test_fenced_events_of_one_session_are_stored_while_others_are_in_flight(
    cluster: Cluster,
) -> None:
    """As a session worker publishes: many events at once, each fenced by the session's ownership record."""
    await _provisioned(cluster.settings)
    async with connect(cluster.settings, name="test") as bus, publishing(bus) as publisher:
        epoch = await bus.compare_and_set("wai.own.demo.s1", b"x", 0, {"Nats-Rollup": "sub"})
        fence = {
            "Nats-Expected-Last-Subject-Sequence": str(epoch),
            "Nats-Expected-Last-Subject-Sequence-Subject": "wa.own.demo.s1",
        }
        submitted = [
            await publisher.submit("wai.evt.demo.s1.message.-", b"x", {"Nats-Msg-Id": f"e{number}", **fence})
            for number in range(20)
        ]
        acks = await asyncio.gather(*submitted)
        assert [ack.seq for ack in acks] == list(range(acks[0].seq, acks[0].seq + 20))
        stale = {**fence, "Nats-Expected-Last-Subject-Sequence": str(epoch - 1), "Nats-Msg-Id": "stale"}
        with pytest.raises(ApiError) as refused:
            await publisher.publish("wai.evt.demo.s1.message.-", b"x", stale)
        assert refused.value.code == WRONG_LAST_SEQUENCE


SESSIONS = [f"s{number}" for number in range(4)]
TEXTS = 40
"""Of each session; a node is killed when half of them are published."""


@contextlib.asynccontextmanager
async def _fleet(cluster: Cluster, directory: Path) -> AsyncIterator[None]:
    """Dispatcher, persistence, Kanban and a worker with the simulated WhatsApp, each as it runs by itself."""
    fields: dict[str, Any] = {
        **msgspec.structs.asdict(cluster.settings),
        "replicas": 3,
        "database_url": f"sqlite:///{directory / 'fleet.db'}",
    }
    ready = {name: directory / f"{name}.ready" for name in ("dispatcher", "persistence", "kanban", "worker")}
    files = {name: str(path) for name, path in ready.items()}
    stopping = asyncio.Event()
    worker = session_worker.Settings(
        **fields,
        engines="simulated",
        encryption_key="7" * 64,
        connects_per_second=0,
        simulated_state=str(directory / "whatsapp"),
        ready_file=files["worker"],
    )
    services = [
        dispatcher_app.run(
            dispatcher.DispatcherSettings(**fields, engine="simulated", ready_file=files["dispatcher"]),
            stopping,
        ),
        persistence_app.run(
            persistence.PersistenceSettings(**fields, ready_file=files["persistence"]), stopping
        ),
        kanban_app.run(kanban.KanbanSettings(**fields, ready_file=files["kanban"]), stopping),
        worker_app.run(worker, stopping),
    ]
    tasks = [asyncio.ensure_future(service) for service in services]

    def all_ready() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        return all(path.exists() for path in ready.values())

    try:
        await wait_until(all_ready, 60, message="the fleet is ready")
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)


class _Told:
    """The stream's messages and statuses, as one replica has them."""

    def __init__(self, found: list[Stored]) -> None:
        events = [msgspec.msgpack.decode(one.data) for one in found]
        self.out = [event for event in events if event["data"].get("origin") == "outbound"]
        self.inbound = [event for event in events if event["data"].get("origin") == "inbound"]
        self.steps = Counter(
            (event["data"]["command_id"], event["data"]["status"])
            for event in events
            if event["event"] == "status"
        )

    def count(self, step: str) -> int:
        return sum(count for (_, name), count in self.steps.items() if name == step)


async def _leader(bus: Bus) -> str:
    """The node that leads the events stream."""

    async def look() -> str | None:
        try:
            leader: str | None = (await bus.api("STREAM.INFO.WA_EVT_demo"))["cluster"].get("leader")
        except (ApiError, BrokerUnavailable):
            return None
        return leader

    found = await wait_until(look, 60, interval=0.2, message="the stream has a leader")
    assert found is not None
    return found


async def _told(bus: Bus, enough: Callable[[_Told], bool]) -> _Told:
    async def look() -> _Told | None:
        found: list[Stored] = []
        try:
            async with reading(bus) as reader:
                while page := await reader.batch(
                    "WA_EVT_demo", "wa.evt.demo.>", found[-1].sequence + 1 if found else 1, limit=500
                ):
                    found += page
        except BrokerUnavailable:  # a leader is being elected
            return None
        told = _Told(found)
        return told if enough(told) else None

    found = await wait_until(look, 180, interval=0.2, message="everything was told")
    assert found is not None
    return found


@pytest.mark.timeout(400)
async def test_a_fleet_on_three_nodes_loses_and_doubles_nothing_when_the_leader_dies(
    cluster: Cluster, tmp_path: Path
) -> None:
    """kill -9 of the events' leader in the middle of the traffic: every command is sent, told and recorded once."""
    await _provisioned(cluster.settings)
    names = [f"{session}-{n}" for n in range(TEXTS) for session in SESSIONS]
    async with (
        _fleet(cluster, tmp_path),
        connect(cluster.settings, name="test") as bus,
        publishing(bus, deadline_s=90) as publisher,
    ):
        record = registry.SessionRecord(
            engine="simulated", settings={"simulated": {"pair_after_ms": 0, "echo_ms": 5, "key_writes": True}}
        )
        for session in SESSIONS:
            await Bucket(bus, streams.SESSIONS_BUCKET).put(f"demo.{session}", registry.encode(record))

        async def publish(some: list[str]) -> None:
            futures = []
            for name in some:
                body = {"id": name, "to": "+5511999990001", "type": "text", "text": {"body": name}}
                subject = f"wa.cmd.demo.{name.partition('-')[0]}.send"
                futures.append(
                    await publisher.submit(subject, msgspec.msgpack.encode(body), {"Nats-Msg-Id": name})
                )
            await asyncio.gather(*futures)

        half = len(names) // 2
        await publish(names[:half])
        await _told(bus, lambda told: told.count("sent") >= len(SESSIONS))
        leader = await _leader(bus)
        cluster.kill(leader)
        await publish(names[half:])
        told = await _told(
            bus, lambda told: told.count("read") >= len(names) and len(told.inbound) >= len(names)
        )
        assert await _leader(bus) != leader

        every = ("accepted", "sent", "delivered", "read")
        assert told.steps == {(name, step): 1 for name in names for step in every}
        assert Counter(event["data"]["command_id"] for event in told.out) == dict.fromkeys(names, 1)
        for session in SESSIONS:
            texts = [event["data"]["text"]["body"] for event in told.out if event["session_id"] == session]
            assert texts == [f"{session}-{n}" for n in range(TEXTS)], "in the order of the publishes"
        taken = {
            entry["id"]
            for entry in map(msgspec.json.decode, (tmp_path / "whatsapp").read_bytes().splitlines())
            if entry["what"] == "accepted" and entry["action"] == "send"
        }
        assert taken == {event["data"]["id"] for event in told.out}
        with contextlib.closing(sqlite3.connect(tmp_path / "fleet.db")) as database:

            def count(sql: str) -> int:
                return int(database.execute(sql).fetchone()[0])

            await wait_until(
                lambda: count("SELECT count(*) FROM messages") == 2 * len(names), 60, message="all recorded"
            )
            await wait_until(
                lambda: count("SELECT count(*) FROM kanban_cards") == len(SESSIONS),
                60,
                message="a card a chat",
            )
