"""The data directory: who may use it, what a crash left behind, which ports it had."""

from __future__ import annotations

import contextlib
import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import structlog

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"


class StartError(Exception):
    """`pww up` cannot start, or cannot go on; the message is a sentence for the operator."""


class Layout:
    """Where everything lies below the data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broker = root / "broker"
        self.streams = root / "broker" / "jetstream"
        self.sandbox = root / "sandbox"
        self.run = root / "run"
        self.logs = root / "logs"
        self.database = root / "fleet.db"
        self.media = root / "media"
        self.lock = root / "lock"
        self.ports = root / "ports.json"
        self.ready = root / "ready.json"
        self.processes = root / "run" / "processes.json"

    def password(self, service: str) -> Path:
        """The file that tells a service its password at the broker."""
        return self.run / f"{service}.password"

    def make(self) -> None:
        """Raises StartError."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in (self.broker, self.streams, self.sandbox, self.run, self.logs, self.media):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"{self.root} cannot be used as the data directory ({error.strerror})."
            ) from None


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """The data directory is this process's alone for as long as the block lasts. Raises StartError.

    The kernel drops the lock when its holder dies, so there is never a stale one.
    """
    with layout.lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip()
            raise StartError(
                f"another `pww up` (process {holder or 'unknown'}) already runs on {layout.root}; "
                "stop it first, or choose another --data-dir."
            ) from None
        handle.truncate(0)
        handle.write(f"{psutil.Process().pid}\n")
        handle.flush()
        yield


def holder(layout: Layout) -> int | None:
    """The process that holds the lock now; None when nobody does."""
    with layout.lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            text = handle.read().strip()
            return int(text) if text.isdecimal() else None
        return None


class Remembered(msgspec.Struct, frozen=True):
    """A process of ours. Its start time tells it from a later one with the same number."""

    name: str
    pid: int
    started: float


def remember(layout: Layout, processes: list[tuple[str, int]]) -> None:
    """Writes down what runs now, for `end_leftovers` of the next start."""
    found: list[Remembered] = []
    for name, pid in processes:
        with contextlib.suppress(psutil.Error):
            found.append(Remembered(name, pid, psutil.Process(pid).create_time()))
    replace(layout.processes, msgspec.json.encode(found))


def end_leftovers(layout: Layout) -> None:
    """Ends what an earlier supervisor left behind, and waits until it is gone.

    On Linux the kernel has ended it with its parent; it may take a moment to die. Elsewhere this is what ends it.
    """
    try:
        listed = msgspec.json.decode(layout.processes.read_bytes(), type=list[Remembered])
    except (OSError, msgspec.DecodeError):
        return
    alive: list[psutil.Process] = []
    for item in listed:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(item.pid)
            if abs(process.create_time() - item.started) < 0.5:
                log.info("ending what an earlier start left behind", process=item.name, pid=item.pid)
                process.kill()
                alive.append(process)
    _, still = psutil.wait_procs(alive, timeout=10)
    if still:
        raise StartError(f"process {still[0].pid} of an earlier start does not end; end it and try again.")
    layout.processes.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Writes a private file that readers find whole, old or new. It need not survive a power cut: no fsync."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.replace(path)


class Ports:
    """Ports that stay the same over restarts of the same data directory, as long as they are free then."""

    def __init__(self, layout: Layout) -> None:
        self._file = layout.ports
        self._given: set[int] = set()
        try:
            self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            self._known = {}

    def choose(self, name: str, asked: int | None = 0, usual: int | None = None) -> int:
        """``asked``: this one or none (StartError); 0: the one it had, else any; None: first the ``usual`` one."""
        if asked:
            if not free(asked):
                raise StartError(f"port {asked} ({name}) is in use; choose another, or 0 for any free one.")
            return self._take(name, asked)
        had = self._known.get(name)
        for candidate in (had, usual if asked is None else None):
            if candidate and candidate not in self._given and free(candidate):
                return self._take(name, candidate)
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port = int(probe.getsockname()[1])
            if port not in self._given:
                return self._take(name, port)

    def _take(self, name: str, port: int) -> int:
        self._given.add(port)
        self._known[name] = port
        return port

    def save(self) -> None:
        replace(self._file, msgspec.json.encode(self._known))


def free(port: int) -> bool:
    """Whether one can listen on the port now. A connection that lingers in TIME_WAIT is not in the way."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True
