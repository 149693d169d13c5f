"""A real nats-server for tests: JetStream on disk, loopback, a port of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import block_until

EXECUTABLE = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """One nats-server process and its directory; a server that was stopped starts again on the same port."""

    def __init__(self, directory: Path, config: str = "") -> None:
        """Keep the store and the log under directory; config is appended to the configuration file."""
        self._directory = directory
        self._config = config
        self._port = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self._directory / "nats-server.log").read_text(errors="replace")

    def start(self, timeout: float = 10.0) -> None:
        """Start and return when the server takes connections."""
        assert self._process is None, "the server is running already"
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "nats-server.conf"
        configuration.write_text(self._configuration())
        with (self._directory / "nats-server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [EXECUTABLE, "--config", configuration], stdout=log, stderr=subprocess.STDOUT
            )
        ports = self._directory / f"nats-server_{self._process.pid}.ports"

        def listening() -> int | None:
            assert self._process is not None
            assert self._process.poll() is None, f"nats-server ended at once:\n{self.log}"
            return _port_in(ports)

        self._port = block_until(listening, timeout, message="nats-server listens") or -1

    def stop(self) -> None:
        """Stop in order (SIGTERM), as an operator would; nothing when it is stopped."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        # A frozen server (SIGSTOP, in chaos tests) acts on a signal only once it runs again.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def _configuration(self) -> str:
        settings = {
            "listen": f"127.0.0.1:{self._port}",
            "ports_file_dir": str(self._directory),
            "jetstream": {"store_dir": str(self._directory / "store")},
        }
        body = "\n".join(f"{name}: {json.dumps(value)}" for name, value in settings.items())
        return f"{body}\n{self._config}\n"


def _port_in(ports: Path) -> int | None:
    """Read the port that the server chose; None until it has written the file in full."""
    try:
        addresses: dict[str, list[str]] = json.loads(ports.read_text())
    except (OSError, ValueError):
        return None
    return int(addresses["nats"][0].rpartition(":")[2])


@contextmanager
def running_nats_server(directory: Path, config: str = "") -> Iterator[NatsServer]:
    """Run a server for the length of a with block."""
    server = NatsServer(directory, config)
    try:
        server.start()
        yield server
    finally:
        server.stop()
