"""The life of `pww up`: it starts everything, keeps it alive, stops in order, and survives its own death."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.integration.up.conftest import PWW, Up, all_gone, environment
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)


def listeners(pid: int) -> list[str]:
    connections = psutil.Process(pid).net_connections(kind="inet")
    return [found.laddr.ip for found in connections if found.status == psutil.CONN_LISTEN]


def test_what_it_says_when_it_is_ready(up: Up) -> None:
    """The ready file has everything that INTERFACE promises, private, and every process runs, on loopback only."""
    ready = up.start("--engine", "simulated", "--tenant", "demo", "acme", "--workers", "2")
    assert set(ready) == {"nats_url", "http_url", "sandbox_url", "platform", "tenants", "pids", "health"}
    assert ready["nats_url"].startswith("nats://127.0.0.1:")
    assert ready["sandbox_url"] is None
    assert set(ready["platform"]) == {"user", "password"}
    assert set(ready["tenants"]) == {"demo", "acme"}
    assert set(ready["tenants"]["acme"]) >= {"user", "password", "api_key"}
    counts = {name: len(pids) for name, pids in ready["pids"].items()}
    assert counts["nats-server"] == counts["dispatcher"] == counts["persistence"] == 1
    assert counts["session_worker"] == 2
    assert all(psutil.pid_exists(pid) for pid in up.pids())
    addresses = {address for pid in up.pids() for address in listeners(pid)}
    assert addresses == {"127.0.0.1"}
    for path in (up.ready_file, *up.data_dir.glob("*.json"), up.data_dir / "encryption.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert up.stop() == 0


def test_no_secret_stands_in_a_command_line_or_an_environment(up: Up) -> None:
    """Passwords and keys reach the services by files alone; none is printed."""
    ready = up.start()
    secrets = [ready["platform"]["password"], (up.data_dir / "encryption.key").read_text().strip()]
    secrets += [
        value for tenant in ready["tenants"].values() for value in (tenant["password"], tenant["api_key"])
    ]
    for pid in up.pids():
        process = psutil.Process(pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        assert not any(secret in seen for secret in secrets), process.name()
    assert not any(secret in up.log for secret in secrets)


@pytest.mark.parametrize("name", ["dispatcher", "persistence", "session_worker", "nats-server"])
def test_one_that_dies_is_started_again(up: Up, name: str) -> None:
    """The ready file names the new process, and the fleet works."""
    (before,) = up.start()["pids"][name]
    os.kill(before, signal.SIGKILL)

    def replaced() -> bool:
        pids = up.ready()["pids"][name]
        return len(pids) == 1 and pids != [before]

    block_until(replaced, 15)
    block_until(lambda: up.pww("health", check=False).returncode == 0, 30)
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    up.pww("send", "--session", "s1", "--to", "+5511999990001", "hello", "--wait", "delivered")


def test_a_second_start_resumes(up: Up) -> None:
    """After SIGTERM nothing is left running; the next start has the same ports, secrets and sessions."""
    first = up.start()
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    pids = up.pids()
    assert up.stop() == 0
    assert all_gone(pids)
    assert not up.ready_file.exists()
    second = up.start()
    anew = {"pids": None, "health": None}
    assert {**second, **anew} == {**first, **anew}
    block_until(lambda: "WORKING" in up.pww("session", "status", "s1").stdout, 30)
    up.pww("send", "--session", "s1", "--to", "+5511999990001", "again", "--wait", "read")
    assert up.stop(signal.SIGINT) == 0


def test_nothing_outlives_its_death(up: Up) -> None:
    """kill -9 of `pww up` ends all that it started, and the next start on the directory works at once."""
    first = up.start()
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    pids = up.pids()
    up.process.kill()
    up.process.wait(10)
    second = up.start()
    assert all_gone(pids)
    assert second["nats_url"] == first["nats_url"]
    block_until(lambda: "WORKING" in up.pww("session", "status", "s1").stdout, 30)


def test_children_notice_its_death_without_a_next_start(up: Up) -> None:
    """The kernel tells them: within seconds none is left."""
    up.start()
    pids = up.pids()
    up.process.kill()
    block_until(lambda: all_gone(pids), 5)


def test_one_directory_has_one_fleet(up: Up) -> None:
    """A second start on the same directory is told so, and disturbs nothing."""
    up.start()
    second = subprocess.run(
        [PWW, "up", "--data-dir", up.data_dir], env=environment(), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"process {up.process.pid}" in second.stderr
    up.pww("health")


def test_what_is_in_the_way_is_told_in_a_sentence(up: Up, tmp_path: Path) -> None:
    """A taken port, secrets that others can read, and flags that do not fit."""

    def refused(*arguments: str, **environ: str) -> tuple[int, str]:
        done = subprocess.run(
            [PWW, "up", "--engine", "simulated", *arguments],
            env=environment() | environ, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    port = up.start()["nats_url"].rpartition(":")[2]
    other = tmp_path / "other"
    code, said = refused("--data-dir", str(other), "--nats-port", port)
    assert (code, f"port {port}" in said) == (1, True)
    assert refused("--data-dir", str(other), "--tenant", "A.b")[0] == 2
    assert refused("--data-dir", str(other), "--engine", "none")[0] == 2
    assert refused("--data-dir", str(other), "--sandbox", PWW_WHATSAPP_URL="ws://127.0.0.1:1/")[0] == 2
    assert up.stop() == 0
    (up.data_dir / "secrets.json").chmod(0o644)
    code, said = refused("--data-dir", str(up.data_dir))
    assert (code, "chmod 600" in said) == (1, True)


def test_a_service_that_cannot_start_ends_the_start(up: Up) -> None:
    """With its name, and without leaving the others behind."""
    done = subprocess.run(
        [PWW, "up", "--engine", "simulated", "--data-dir", up.data_dir, "--nats-port", "0", "--http-port", "0"],
        env=environment() | {"PWW_ACK_TIMEOUT_S": "soon"},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PWW_ACK_TIMEOUT_S does not fit" in done.stderr
    assert "pww: session_worker-1 does not start" in done.stderr
    running = [" ".join(found.info["cmdline"] or ()) for found in psutil.process_iter(["cmdline"])]
    assert not any(str(up.data_dir) in command for command in running)
