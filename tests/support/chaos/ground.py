"""What a fleet stands on in the attack: WhatsApp behind a proxy, a disk, a clock and a database that one can break."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from pywhatsweb_fleet.up import sandbox
from pywhatsweb_fleet.up.child import Child
from pywhatsweb_runtime import bus as bus_module
from pywhatsweb_runtime.bus import BrokerSettings, Bus
from tests.support.chaos.plan import Plan
from tests.support.chaos.proxy import Proxy
from tests.support.postgres import PostgresServer
from tests.support.running import Fleet

DISK_MB = 1024
PARTS = ("data", "whatsapp", "profiles")
"""Folders of a ground that the next one with the same sessions starts from."""

# Shorter than in production, so that what they guard against happens within a run.
SETTINGS = {
    "PWW_LOG_FORMAT": "json",
    "PWW_ACK_TIMEOUT_S": "8",
    "PWW_HEARTBEAT_S": "10",
    "PWW_HEARTBEAT_TIMEOUT_S": "5",
    "PWW_RETRY_PAUSE_S": "1",
    "PWW_CONNECTS_PER_SECOND": "100",
}


class WhatsApp:
    """The sandbox as a process of ours, kept alive, and the proxy through which the fleet reaches it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._marker = directory / "ready.json"
        self._ports = {name: _free_port() for name in ("ws", "http", "media")}
        self.proxy = Proxy(self._ports["ws"])
        self.child = Child("sandbox", self._spawn, self._until_ready, lambda: None, stop_bound_s=5)
        self.told: sandbox.SandboxReady | None = None

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def environ(self) -> dict[str, str]:
        assert self.told is not None
        return {
            "PWW_WHATSAPP_URL": f"ws://127.0.0.1:{self.proxy.port}/ws/chat",
            "PWW_WHATSAPP_ROOT_KEY": self.told.root_key,
            "PWW_WHATSAPP_CA": self.told.media_ca,
        }

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.child.begin()
        await asyncio.wait_for(self.child.ready.wait(), 60)
        await self.proxy.start()

    async def stop(self) -> None:
        await self.proxy.stop()
        await self.child.stop()

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await sandbox.spawn(os.environ, self._directory, self._marker, **self._ports)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        self.told = await sandbox.until_ready(self._marker, process)


class Clock:
    """The wall clock of everything that `pww up` starts but nats-server (Go does not ask the C library).

    A few lines of C that are preloaded: libfaketime also wraps the waiting calls, and keeps idle services busy.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self._library = directory / "clock.so"
        self._file.write_bytes(struct.pack("q", 0))

    def build(self) -> bool:
        """Whether this machine has what it takes."""
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            return False
        source = Path(__file__).with_name("clock.c")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(source)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """From now on it differs from ours by so much."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


class Disk:
    """A small file system for the data directory, in memory."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self._ballast = at / "ballast"

    def mount(self) -> bool:
        """Whether this machine lets us."""
        self.at.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "chaos", str(self.at)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def fill(self) -> None:
        with contextlib.suppress(OSError), self._ballast.open("ab") as file:
            while True:
                file.write(bytes(65536))
                file.flush()

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self, keep: Path | None) -> None:
        """What lies on it goes to ``keep`` first."""
        if keep is not None:
            _copy(self.at, keep)
        command = ["umount", "-l", str(self.at)]
        subprocess.run(command, capture_output=True, check=True)


class Ground:
    """All of it; None stands for what the plan does not use, or this machine does not allow."""

    def __init__(self, plan: Plan, directory: Path, template: Path | None) -> None:
        """``template``: what `keep_as` left of another ground with the same sessions."""
        self.plan = plan
        self.directory = directory
        self.whatsapp: WhatsApp | None = None
        self.postgres: PostgresServer | None = None
        self.one_killer = asyncio.Lock()
        """Of PostgreSQL: two at once trip over each other."""
        self.clock: Clock | None = None
        self.disk: Disk | None = None
        self.full: set[str] = set()
        """Streams that a fault lets take nothing now."""
        self._template = template
        self._fleet: Fleet | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def fleet(self) -> Fleet:
        assert self._fleet is not None
        return self._fleet

    @property
    def database(self) -> str:
        """Its URL."""
        if self.postgres is not None:
            return self.postgres.url("fleet")
        return f"sqlite:///{self.directory / 'data' / 'fleet.db'}"

    async def __aenter__(self) -> Ground:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.plan.allows("disk"):
            disk = Disk(self.directory / "data")
            if await asyncio.to_thread(disk.mount):
                self.disk = disk
                self._stack.callback(disk.unmount, self.directory / "kept")
        for part in PARTS:
            if self._template is not None and (self._template / part).exists():
                _copy(self._template / part, self.directory / part)
        # Not on the small disk: what a browser does without room is its makers' affair.
        environ = SETTINGS | {"PWW_PROFILES_DIR": str(self.directory / "profiles")}
        clock = Clock(self.directory)
        if self.plan.allows("clock") and await asyncio.to_thread(clock.build):
            self.clock = clock
            environ |= clock.environ
        if self.plan.store == "postgres":
            self._start_postgres()
            environ["PWW_DATABASE_URL"] = self.database
        arguments = ["--workers", str(self.plan.workers), "--engine", self.plan.engine]
        if self.plan.engine == "simulated":
            environ["PWW_SIMULATED_STATE"] = str(self.directory / "whatsapp.jsonl")
        else:
            self.whatsapp = WhatsApp(self.directory / "whatsapp")
            self._stack.push_async_callback(self.whatsapp.stop)
            await self.whatsapp.start()
            environ |= self.whatsapp.environ
        for number in range(self.plan.tenants):
            arguments += ["--tenant", f"t{number}"]
        self._fleet = Fleet(self.directory, *arguments, env=environ)
        # A thread, for the proxy and the sandbox's supervisor live in this one.
        self._stack.push_async_callback(asyncio.to_thread, self._fleet.stop)
        await asyncio.to_thread(self._fleet.start, 120)

    def _start_postgres(self) -> None:
        # Socket paths are limited to 107 bytes, and PostgreSQL's account may not enter a test's directory.
        directory = Path(tempfile.mkdtemp(prefix="pww-pg-"))
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        server = PostgresServer(directory)
        old = self._template / "postgres" if self._template is not None else None
        if old is not None and old.exists():
            _copy(old, directory)
        else:
            server.prepare()
        server.start(60)
        self._stack.callback(server.stop)
        if old is None:
            server.execute("CREATE DATABASE fleet")
        self.postgres = server
        self._postgres_directory = directory

    async def keep_as(self, template: Path) -> None:
        """Stops the fleet and leaves a copy of everything that it and WhatsApp know."""
        await asyncio.to_thread(self.fleet.stop)
        if self.whatsapp is not None:
            await self.whatsapp.child.stop()
        for part in PARTS:
            if (self.directory / part).exists():
                _copy(self.directory / part, template / part)
        if self.postgres is not None:
            self.postgres.stop()
            _copy(self._postgres_directory, template / "postgres")

    @contextlib.asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """As the platform."""
        user = self.fleet.ready["platform"]
        settings = BrokerSettings(
            nats_url=self.fleet.ready["nats_url"], nats_user=user["user"], nats_password=user["password"]
        )
        async with bus_module.connect(settings, name="chaos") as bus:
            yield bus

    def http(self, timeout: float = 30) -> httpx.AsyncClient:
        """WhatsApp's control interface."""
        assert self.whatsapp is not None
        return httpx.AsyncClient(base_url=self.whatsapp.http_url, timeout=timeout)

    def pids(self, kind: str) -> list[int]:
        """The processes of a kind that run now."""
        if kind == "sandbox":
            pid = self.whatsapp.child.pid if self.whatsapp is not None else None
            return [pid] if pid is not None else []
        if kind == "browser":
            return browsers(self.directory)
        with contextlib.suppress(OSError, ValueError):
            self.fleet.reload()
        pids: list[int] = self.fleet.ready["pids"].get(kind) or []
        return pids

    def kinds(self) -> dict[str, list[int]]:
        pids: dict[str, Any] = {kind: self.pids(kind) for kind in self.fleet.ready["pids"]}
        return pids | {"sandbox": self.pids("sandbox")}


def browsers(directory: Path) -> list[int]:
    """Those with a profile below it; not their helpers, which live and die with them."""
    mark = f"--user-data-dir={directory}/"
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words: list[str] = process.info["cmdline"] or []
        if any(word.startswith(mark) for word in words) and not any("--type=" in word for word in words):
            found.append(process.pid)
    return found


def _copy(old: Path, new: Path) -> None:
    """With owners and modes; new may exist."""
    new.mkdir(parents=True, exist_ok=True)
    command = ["cp", "-a", f"{old}/.", str(new)]
    subprocess.run(command, check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
