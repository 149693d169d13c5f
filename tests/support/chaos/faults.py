"""What goes wrong: a function a fault, which strikes, and mends what does not mend itself when its time is over.

A fault is cancelled when the run ends; what it does to last it undoes then, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlparse

import httpx
import psutil
from nats.errors import Error as NatsError

from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from tests.support.chaos.ground import Ground


class Scene(Protocol):
    """Where a fault happens."""

    ground: Ground
    random: random.Random

    def note(self, words: str) -> None:
        """A line of the run's log."""

    async def rest(self, least: float, most: float) -> None:
        """Waits for so many seconds."""


Fault = Callable[[Scene], Awaitable[None]]

SERVICES = ("session_worker", "dispatcher", "persistence", "kanban")
PROCESSES = (*SERVICES, "sidecar", "nats-server")

LINKS: tuple[dict[str, Any], ...] = (
    {"kind": "close"},
    {"kind": "stream_error", "code": 503},
    {"kind": "freeze", "seconds": 3},
    {"kind": "ack_lost_close", "count": 3},
    {"kind": "ack_delay", "count": 10, "delay_ms": 1500},
    {"kind": "duplicate_delivery", "count": 20},
    {"kind": "late_receipts", "seconds": 4, "delay_ms": 2000},
    {"kind": "slow", "seconds": 3, "delay_ms": 200},
    {"kind": "refuse_connect", "seconds": 3},
)

RELOAD: dict[str, Any] = {"kind": "stream_error", "code": 515}
"""WhatsApp has a new version: a page loads itself anew."""


def faults(ground: Ground) -> Mapping[str, Fault]:
    """Those that the plan wants and this ground allows, by name."""
    found: dict[str, Fault] = {}
    for kind in PROCESSES:
        found[f"kill:{kind}"] = partial(kill, kind=kind)
        found[f"freeze:{kind}"] = partial(freeze, kind=kind)
    for kind in SERVICES:
        found[f"stop:{kind}"] = partial(stop, kind=kind)
    found |= {"gone:nats-server": broker_gone, "slow:subscriber": slow_subscriber}
    for which in ("WA_CMD", "WA_OUT", "WA_EVT"):
        found[f"full:{which}"] = partial(full_stream, which=which)
    if ground.whatsapp is not None:
        found["kill:sandbox"] = partial(kill, kind="sandbox")
        found |= {f"link:{fault['kind']}": partial(link, fault=fault) for fault in LINKS}
        found |= {"net:cut": cut, "net:silence": silence, "net:delay": delay, "net:offline": offline}
    else:
        del found["kill:sidecar"], found["freeze:sidecar"]
    if ground.plan.engine == "webjs":
        found |= {f"{verb.__name__}:browser": partial(verb, kind="browser") for verb in (kill, freeze)}
        found |= {"kill:page": kill_page, "link:reload": partial(link, fault=RELOAD)}
    if ground.postgres is not None:
        found |= {
            "kill:database": kill_database,
            "kill:backend": kill_backend,
            "freeze:database": freeze_database,
        }
    else:
        found["lock:database"] = lock_database
    if ground.disk is not None:
        found["disk:full"] = full_disk
    if ground.clock is not None:
        found["clock:jump"] = jump
    return {name: fault for name, fault in found.items() if ground.plan.allows(name)}


async def kill(scene: Scene, kind: str) -> None:
    """kill -9 one process of the kind; its supervisor starts another."""
    _signal(scene, kind, signal.SIGKILL, "kill -9")


async def kill_page(scene: Scene) -> None:
    """kill -9 the processes in which one browser runs its page, as it ends for want of memory; the browser lives."""
    browsers = scene.ground.pids("browser")
    browser = scene.random.choice(browsers) if browsers else None
    scene.note(f"kill -9 the page of browser {browser or '(none runs)'}")
    with contextlib.suppress(psutil.Error):
        for helper in psutil.Process(browser).children(recursive=True) if browser else ():
            if "--type=renderer" in helper.cmdline():
                helper.kill()


async def stop(scene: Scene, kind: str) -> None:
    """SIGTERM one process of the kind: it hands over what it holds, and its supervisor starts another."""
    _signal(scene, kind, signal.SIGTERM, "SIGTERM")


async def freeze(scene: Scene, kind: str) -> None:
    """SIGSTOP one process of the kind for up to ten seconds: longer than a worker's lease, or a dispatcher's pin."""
    pid = _signal(scene, kind, signal.SIGSTOP, "SIGSTOP")
    if pid is None:
        return
    try:
        await scene.rest(1, 10)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            scene.note(f"SIGCONT {kind} {pid}")


async def broker_gone(scene: Scene) -> None:
    """Takes nats-server away for 10 to 25 s: each one that the supervisor starts is killed at once."""
    scene.note("nats-server gone")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(scene.random.uniform(10, 25)):
            while True:
                for pid in scene.ground.pids("nats-server"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.1)
    scene.note("nats-server may come back")


async def link(scene: Scene, fault: Mapping[str, Any]) -> None:
    """Has WhatsApp itself do something to its links or acknowledgements (see the sandbox's README)."""
    scene.note(f"WhatsApp: {dict(fault)}")
    with contextlib.suppress(httpx.HTTPError):
        async with scene.ground.http(timeout=3) as client:
            await client.post("/api/faults", json=dict(fault))


async def cut(scene: Scene) -> None:
    """Resets all or half of the links to WhatsApp, and new ones for up to five seconds."""
    assert scene.ground.whatsapp is not None
    proxy = scene.ground.whatsapp.proxy
    count = proxy.cut(scene.random.choice((0.5, 1.0)))
    scene.note(f"network: cut, {count} ends")
    proxy.refuses = scene.random.random() < 0.5
    try:
        await scene.rest(1, 5)
    finally:
        proxy.refuses = False


async def silence(scene: Scene) -> None:
    """Nothing passes between the fleet and WhatsApp for up to twelve seconds, and nobody is told."""
    assert scene.ground.whatsapp is not None
    proxy = scene.ground.whatsapp.proxy
    scene.note("network: silent")
    proxy.passes.clear()
    try:
        await scene.rest(2, 12)
    finally:
        proxy.passes.set()
        scene.note("network: passes again")


async def delay(scene: Scene) -> None:
    """Each piece between the fleet and WhatsApp arrives 0.05 to 0.8 s later, for up to six seconds."""
    assert scene.ground.whatsapp is not None
    proxy = scene.ground.whatsapp.proxy
    proxy.delay_s = scene.random.uniform(0.05, 0.8)
    scene.note(f"network: {proxy.delay_s:.2f} s later")
    try:
        await scene.rest(2, 6)
    finally:
        proxy.delay_s = 0


async def offline(scene: Scene) -> None:
    """Links are refused while contacts go on writing, then WhatsApp is killed: it comes back with offline queues."""
    assert scene.ground.whatsapp is not None
    proxy = scene.ground.whatsapp.proxy
    scene.note("network: away; WhatsApp keeps what contacts write")
    proxy.refuses = True
    try:
        proxy.cut()
        await scene.rest(3, 6)
        _signal(scene, "sandbox", signal.SIGKILL, "kill -9")
    finally:
        proxy.refuses = False


async def full_stream(scene: Scene, which: str) -> None:
    """A tenant's stream of commands, queues or events takes nothing more for up to six seconds."""
    name = f"{which}_t{scene.random.randrange(scene.ground.plan.tenants)}"
    if name in scene.ground.full:
        return
    scene.ground.full.add(name)
    try:
        await _fill(scene, name)
    finally:
        scene.ground.full.discard(name)


async def _fill(scene: Scene, name: str) -> None:
    info = await _ask(scene, f"STREAM.INFO.{name}")
    if info is None:
        return
    config = info["config"]
    try:
        await _ask(scene, f"STREAM.UPDATE.{name}", {**config, "max_bytes": max(1, info["state"]["bytes"])})
        scene.note(f"{name} is full")
        await scene.rest(2, 6)
    finally:
        while await _ask(scene, f"STREAM.UPDATE.{name}", config) is None:  # noqa: ASYNC110 - the broker's own time
            await asyncio.sleep(0.2)


async def _ask(scene: Scene, request: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """JetStream's answer; None when there is none, since something else is broken."""
    with contextlib.suppress(ApiError, BrokerUnavailable, OSError, TimeoutError, NatsError):
        async with asyncio.timeout(5), scene.ground.bus() as bus:
            return await bus.api(request, body)
    return None


async def slow_subscriber(scene: Scene) -> None:
    """A tenant's program subscribes to its events two hundred times over and reads nothing, for up to 15 s."""
    tenant = f"t{scene.random.randrange(scene.ground.plan.tenants)}"
    user = scene.ground.fleet.ready["tenants"][tenant]
    address = urlparse(scene.ground.fleet.ready["nats_url"])
    scene.note(f"a subscriber of {tenant} reads nothing")
    with contextlib.suppress(OSError), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        hello = f'CONNECT {{"verbose":false,"user":"{user["user"]}","pass":"{user["password"]}"}}\r\n'
        subscribe = "".join(f"SUB wa.evt.{tenant}.> {number}\r\n" for number in range(200))
        connection.sendall((hello + subscribe).encode())
        await scene.rest(5, 15)


async def kill_database(scene: Scene) -> None:
    """kill -9 PostgreSQL, all of it; it starts again after up to five seconds."""
    postgres = scene.ground.postgres
    assert postgres is not None
    async with scene.ground.one_killer:
        scene.note("kill -9 PostgreSQL")
        killing = asyncio.ensure_future(asyncio.to_thread(postgres.kill))
        try:
            await asyncio.shield(killing)
            await scene.rest(0, 5)
        finally:  # the blows may be over at any moment
            await killing
            try:
                await asyncio.to_thread(postgres.start, 60)
            except (
                AssertionError
            ):  # another blow struck it while it recovered, and it gave up: who runs it starts it
                await asyncio.to_thread(postgres.start, 60)
            scene.note("PostgreSQL is back")


async def kill_backend(scene: Scene) -> None:
    """kill -9 one of PostgreSQL's backends: it ends all others and recovers."""
    assert scene.ground.postgres is not None
    async with scene.ground.one_killer:  # whoever killed all of it has started it again
        backends = psutil.Process(scene.ground.postgres.pid).children()
        with contextlib.suppress(psutil.Error, IndexError):
            victim = scene.random.choice(backends)
            scene.note(f"kill -9 a process of PostgreSQL: {' '.join(victim.cmdline())[:60]}")
            victim.kill()


async def freeze_database(scene: Scene) -> None:
    """SIGSTOP all of PostgreSQL for up to eight seconds."""
    assert scene.ground.postgres is not None
    async with scene.ground.one_killer:
        scene.note("SIGSTOP PostgreSQL")
        scene.ground.postgres.freeze()
    try:
        await scene.rest(1, 8)
    finally:
        async with scene.ground.one_killer:
            scene.ground.postgres.thaw()


async def lock_database(scene: Scene) -> None:
    """Another program holds SQLite's one write lock for up to eight seconds."""
    path = scene.ground.database.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        with contextlib.suppress(sqlite3.OperationalError):
            await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
            scene.note("SQLite is locked")
            await scene.rest(2, 8)
    finally:
        connection.close()


async def full_disk(scene: Scene) -> None:
    """The data directory's disk (broker and SQLite) has not a byte left, for up to five seconds."""
    disk = scene.ground.disk
    assert disk is not None
    scene.note("disk full")
    try:
        await asyncio.to_thread(disk.fill)
        await scene.rest(1, 5)
    finally:
        disk.free()
        scene.note("disk has room again")


async def jump(scene: Scene) -> None:
    """The wall clock of the fleet's processes jumps, not the broker's and WhatsApp's, and back after up to 15 s."""
    assert scene.ground.clock is not None
    seconds = scene.random.choice((-600, -30, 30, 3600))
    scene.note(f"clock: {seconds:+d} s")
    scene.ground.clock.set(seconds)
    try:
        await scene.rest(3, 15)
    finally:
        scene.ground.clock.set(0)
        scene.note("clock: right again")


def _signal(scene: Scene, kind: str, number: signal.Signals, words: str) -> int | None:
    """To one process of the kind; None when none runs."""
    pids = scene.ground.pids(kind)
    pid = scene.random.choice(pids) if pids else None
    scene.note(f"{words} {kind} {pid or '(none runs)'}")
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            if number is not signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)  # a frozen process acts on SIGTERM only once it runs
    return pid
