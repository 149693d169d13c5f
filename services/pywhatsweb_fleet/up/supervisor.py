"""`pww up`: starts everything in order, keeps it alive, says where it is, and stops it in the reverse order.

Start: the data directory's lock, secrets, broker; then the tenants' streams and, beside them, the sandbox; then every
service at once (each brings the database's schema up to date; one of them does the work).

Every process leads a group of its own: a Ctrl-C in the terminal reaches only us, and the order of stopping is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil
import structlog

from pywhatsweb_fleet.broker import secrets
from pywhatsweb_fleet.broker.process import STOP_BOUND_S
from pywhatsweb_fleet.up import datadir, ready_file, sandbox, services
from pywhatsweb_fleet.up.child import Child
from pywhatsweb_fleet.up.datadir import LOOPBACK, Layout, Ports, StartError
from pywhatsweb_fleet.up.embedded import EmbeddedBroker
from pywhatsweb_runtime import ready

log = structlog.get_logger(__name__)

START_BOUND_S = 120.0
"""Migrations of a large database and the recovery of large streams are part of it."""
SIDECARS_EVERY_S = 0.5
"""How often the workers' children are looked up: they start and end without our doing."""

USUAL_NATS_PORT = 4222
USUAL_HTTP_PORT = 8080


ENGINES = {
    "simulated": "simulated",
    "baileys": "simulated,baileys",
    "webjs": "simulated,baileys,webjs",
}
"""What sessions may choose: without Node, nothing that needs it; a browser only when asked for."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    data_dir: Path
    engine: str
    sandbox: bool
    workers: int
    nats_port: int | None
    http_port: int | None
    ready_file: Path | None
    tenants: list[str]
    environ: Mapping[str, str]


class Fleet:
    """Everything that runs under one data directory."""

    def __init__(self, options: Options, layout: Layout) -> None:
        self._options = options
        self._layout = layout
        self._ports = Ports(layout)
        self._http_port = self._ports.choose("http", options.http_port, USUAL_HTTP_PORT)
        names = options.tenants
        known = secrets.load(layout.root)
        if not names and (known is None or not known.tenants):
            names = ["demo"]
        found = secrets.load_or_make(layout.root, names)
        self._encryption_key = secrets.encryption_key(layout.root)
        for name, user in found.services.items():
            secrets.write_private(layout.password(name), user.password.encode())
        self._broker = EmbeddedBroker(
            layout, self._ports.choose("nats", options.nats_port, USUAL_NATS_PORT), found
        )
        self._children: list[tuple[str, Child]] = []
        """In the order of starting, with what the ready file calls them."""
        self._whatsapp: sandbox.SandboxReady | None = None
        self._sandbox_page: str | None = None
        self._is_up = False
        self._told: ready_file.Ready | None = None

    @property
    def ready_paths(self) -> list[Path]:
        asked = self._options.ready_file
        return [self._layout.ready] if asked is None else [self._layout.ready, asked]

    # Starting.

    async def start(self) -> ready_file.Ready:
        """Returns when everything is ready and the ready file is written. Raises StartError."""
        began = time.monotonic()
        await self._start_broker()
        sandbox_ready = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start_sandbox(sandbox_ready))
                await self._broker.provision()
                for service in services.SERVICES:
                    group.create_task(self._start_service(service, sandbox_ready))
        except ExceptionGroup as group_of_errors:
            raise _first(group_of_errors) from None
        self._ports.save()
        self._is_up = True
        self._changed()
        assert self._told is not None  # noqa: S101 - just written
        log.info(
            "the fleet is up",
            seconds=round(time.monotonic() - began, 2),
            durability="one node: every acknowledged message is flushed to disk (R1, sync_interval always)",
        )
        return self._told

    async def _start_broker(self) -> None:
        async def is_ready(process: asyncio.subprocess.Process) -> None:
            await self._broker.until_up(process)
            if self._is_up:  # it was started again, and what it kept in memory (the workers' bucket) is gone
                await self._broker.provision()

        child = self._add(
            "nats-server",
            Child(
                "nats-server",
                self._broker.start,
                is_ready,
                self._changed,
                stop_bound_s=STOP_BOUND_S + self._broker.patience_s,
            ),
        )
        await self._wait_for(child)

    async def _start_sandbox(self, done: asyncio.Event) -> None:
        if not self._options.sandbox:
            done.set()
            return
        marker = self._layout.run / "sandbox.json"
        ports = {name: self._ports.choose(f"sandbox_{name}") for name in ("ws", "http", "media")}
        self._sandbox_page = f"http://127.0.0.1:{ports['http']}"
        environ = self._options.environ

        async def is_ready(process: asyncio.subprocess.Process) -> None:
            self._whatsapp = await sandbox.until_ready(marker, process)

        child = self._add(
            "sandbox",
            Child(
                "sandbox",
                lambda: sandbox.spawn(environ, self._layout.sandbox, marker, **ports),
                is_ready,
                self._changed,
                stop_bound_s=5.0,
            ),
        )
        await self._wait_for(child)
        done.set()

    async def _start_service(self, service: services.Service, sandbox_ready: asyncio.Event) -> None:
        if service.needs_whatsapp:
            await sandbox_ready.wait()
        count = self._options.workers if service.name == "session_worker" else 1
        started = [self._add_service(service, number) for number in range(1, count + 1)]
        await asyncio.gather(*(self._wait_for(child) for child in started))

    def _add_service(self, service: services.Service, number: int) -> Child:
        marker = self._layout.run / f"{service.name}-{number}.ready"
        user = self._broker.secrets.services[service.name]
        environ = {
            **self._environ(),
            "PWW_NATS_USER": user.user,
            "PWW_NATS_PASSWORD_FILE": str(self._layout.password(service.name)),
            "PWW_READY_FILE": str(marker),
            "PWW_HEALTH_PORT": "0",
            "PWW_LOG_PATH": str(self._layout.logs / f"{service.name}-{number}.jsonl"),
        }
        if service.name == "gateway" and self._sandbox_page is not None:
            environ["PWW_SANDBOX_URL"] = self._sandbox_page
        if service.name == "session_worker":
            # The same at each start: what the last one owned is its own at once, since that one has ended.
            environ["PWW_WORKER_ID"] = f"w-{number}"
        return self._add(
            service.name,
            Child(
                f"{service.name}-{number}",
                lambda: services.spawn_module(f"pywhatsweb_fleet.{service.name}", environ),
                lambda process: services.until_announced(marker, process),
                self._changed,
                stop_bound_s=service.stop_bound_s,
            ),
        )

    def _environ(self) -> dict[str, str]:
        """What every service gets. Secrets are named by files: an environment can be read in /proc."""
        layout = self._layout
        environ = services.clean(self._options.environ)
        environ |= {
            "PWW_NATS_URL": self._broker.url,
            "PWW_DATA_DIR": str(layout.root),
            "PWW_ENGINE": self._options.engine,
            "PWW_ENGINES": environ.get("PWW_ENGINES") or ENGINES[self._options.engine],
            "PWW_HTTP_PORT": str(self._http_port),
        }
        if not environ.get("PWW_DATABASE_URL") and not environ.get("PWW_DATABASE_URL_FILE"):
            environ["PWW_DATABASE_URL"] = f"sqlite:///{layout.database}"
        if not environ.get("PWW_ENCRYPTION_KEY") and not environ.get("PWW_ENCRYPTION_KEY_FILE"):
            environ["PWW_ENCRYPTION_KEY_FILE"] = str(self._encryption_key)
        environ.setdefault("PWW_MEDIA_URL", layout.media.as_uri())
        # Whoever runs it is its first tenant.
        environ.setdefault("PWW_ALERT_TENANT", next(iter(self._broker.secrets.tenants), ""))
        if self._whatsapp is not None:
            environ |= {
                "PWW_WHATSAPP_URL": self._whatsapp.ws_url,
                "PWW_WHATSAPP_ROOT_KEY": self._whatsapp.root_key,
                "PWW_WHATSAPP_CA": self._whatsapp.media_ca,
            }
        return environ

    def _add(self, kind: str, child: Child) -> Child:
        self._children.append((kind, child))
        child.begin()
        return child

    async def _wait_for(self, child: Child) -> None:
        bound_s = START_BOUND_S + self._broker.patience_s
        ready = asyncio.create_task(child.ready.wait())
        hopeless = asyncio.create_task(child.hopeless.wait())
        try:
            done, _ = await asyncio.wait(
                (ready, hopeless), timeout=bound_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
            hopeless.cancel()
        if ready not in done:
            why = "does not start" if hopeless in done else f"is not ready within {bound_s:g} s"
            raise StartError(f"{child.name} {why}; the lines above say why.")

    # Running.

    async def watch(self) -> None:
        """Keeps the ready file current, for ever."""
        while True:
            await asyncio.sleep(SIDECARS_EVERY_S)
            self._follow_secrets()
            self._changed()

    def _follow_secrets(self) -> None:
        """Takes note of what the tenancy service wrote: the ready file, and the broker's next start, follow it."""
        try:
            found = secrets.load(self._layout.root)
        except secrets.SecretsError as error:
            log.error("the secrets cannot be read", reason=str(error))  # noqa: TRY400 - a sentence says it
        else:
            self._broker.secrets = found or self._broker.secrets

    def _changed(self) -> None:
        """Writes down what runs now; called at every change."""
        pids: dict[str, list[int]] = {}
        for kind, child in self._children:
            running = pids.setdefault(kind, [])
            if child.pid is not None:
                running.append(child.pid)
        pids["sidecar"] = [pid for worker in pids.get("session_worker", ()) for pid in _sidecars_of(worker)]
        told = ready_file.Ready(
            nats_url=self._broker.url,
            http_url=f"http://{LOOPBACK}:{self._http_port}" if "gateway" in pids else None,
            sandbox_url=self._whatsapp.http_url if self._whatsapp is not None else None,
            health=self._health(),
            platform=self._broker.secrets.platform,
            tenants=self._broker.secrets.tenants,
            pids=pids,
        )
        if told == self._told and self._is_up == self._published:
            return
        try:
            datadir.remember(self._layout, [(kind, pid) for kind, found in pids.items() for pid in found])
            if self._is_up:
                ready_file.write(self.ready_paths, told)
        except OSError as error:  # the disk is full: `watch` tries again, and what runs goes on
            log.warning("what runs could not be written down", reason=error.strerror)
            return
        self._told = told
        self._published = self._is_up

    def _health(self) -> dict[str, str]:
        """Where each service tells its health and metrics."""
        found = {}
        for _, child in self._children:
            port = ready.announced_port(self._layout.run / f"{child.name}.ready")
            if port is not None and child.pid is not None:
                found[child.name] = f"http://{LOOPBACK}:{port}"
        return found

    _published = False

    # Stopping.

    async def stop(self) -> None:
        """In the reverse order of starting, the processes of one kind at once; each within its bound."""
        self._is_up = False
        for path in self.ready_paths:
            path.unlink(missing_ok=True)
        for kind in dict.fromkeys(kind for kind, _ in reversed(self._children)):
            await asyncio.gather(*(child.stop() for name, child in self._children if name == kind))

    def kill(self) -> None:
        for _, child in reversed(self._children):
            child.kill()


def _first(group: ExceptionGroup) -> Exception:
    """The first error itself: what failed at once beside it is seldom more than its consequence."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _sidecars_of(worker: int) -> list[int]:
    """Of a worker's children only sidecars lead a session; who looks at a picture for it does not."""
    try:
        return [child.pid for child in psutil.Process(worker).children() if _leads(child.pid)]
    except psutil.Error:
        return []


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


async def run(options: Options, when_up: Callable[[ready_file.Ready, Path], None]) -> int:
    """The whole life; the process's exit code. Raises StartError and SecretsError when it cannot start."""
    stopping, forced = asyncio.Event(), asyncio.Event()
    _on_signals(stopping, forced)
    layout = Layout(options.data_dir)
    layout.make()
    with datadir.locked(layout):
        datadir.end_leftovers(layout)
        fleet = Fleet(options, layout)
        for path in fleet.ready_paths:
            path.unlink(missing_ok=True)  # of a start that was killed: nobody may take it for this one's
        try:
            await _unless(stopping, fleet.start())
            if not stopping.is_set():
                told = ready_file.read(layout.ready)
                if told is not None:
                    when_up(told, layout.root)
                await _unless(stopping, fleet.watch())
        finally:
            await _unless(forced, fleet.stop())
            fleet.kill()
            with contextlib.suppress(OSError):  # then the next start finds out by itself that they are gone
                datadir.remember(layout, [])
    return 0


def _on_signals(stopping: asyncio.Event, forced: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM stops in order, the second at once."""

    def on_signal() -> None:
        if stopping.is_set():
            log.warning("stopping at once")
            forced.set()
        else:
            log.info("stopping; once more stops at once")
            stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Runs ``work`` until it ends or ``event`` is set."""
    task = asyncio.ensure_future(work)
    wait = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((task, wait), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for pending in (task, wait):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pending
