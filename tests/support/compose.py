"""The fleet in containers, for tests: docker compose under a project of its own, on free ports, with the sandbox."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = "test"
OURS = frozenset(("dispatcher", "persistence", "kanban", "tenancy", "webhooks", "gateway", "session-worker"))
LONG_RUNNING = OURS | {"nats", "postgres", "sandbox", "prometheus", "grafana"}
"""Services that stay."""


def docker(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """One call of its client."""
    program = shutil.which("docker") or "docker"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=timeout)


def no_engine() -> str:
    """Why containers cannot be run here; empty when they can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if docker("info").returncode:
        return "no Docker engine answers"
    if docker("compose", "version").returncode:
        return "docker has no compose"
    return ""


def inspect(what: str, form: str) -> str:
    """A fact of an image or container; empty when there is none."""
    return docker("inspect", "-f", form, what).stdout.strip()


def either(pinned: str, other: str) -> str:
    """The pinned image, or the other one where only that is there (an engine without a registry)."""
    return other if not inspect(pinned, "{{.Id}}") and inspect(other, "{{.Id}}") else pinned


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Compose:
    """One project. `down` removes everything that it made, volumes included."""

    def __init__(self, *overrides: str, nodes: int = 1) -> None:
        self._nodes = [f"nats-{number}" for number in range(2, nodes + 1)]
        self.project = "pwwtest" + secrets.token_hex(3)
        files = ("docker-compose.yml", *overrides)
        self._files = [part for file in files for part in ("-f", str(ROOT / file))]
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(("PWW_", "COMPOSE_"))
            },
            "COMPOSE_PROFILES": "sandbox",
            "METRICS_LABELS": "session",
            "PWW_VERSION": VERSION,
            "WHATSAPP_URL": "ws://sandbox:9200/ws/chat",
            "WHATSAPP_ROOT_KEY_FILE": "/sandbox/root_key",
            "WHATSAPP_CA": "/sandbox/media_ca.pem",
            "PROMETHEUS_IMAGE": either("prom/prometheus:v3.7.3", "prom/prometheus:latest"),
            "GRAFANA_IMAGE": either("grafana/grafana:12.3.0", "grafana/grafana:latest"),
            # Chosen here rather than by Docker (port 0), which chooses anew when a container starts again.
            **{
                f"{name}_PORT": str(free_port())
                for name in ("NATS", "HTTP", "SANDBOX", "PROMETHEUS", "GRAFANA")
            },
        }

    def run(self, *arguments: str, timeout: float = 120) -> str:
        """Standard output; raises AssertionError with what was said when it fails."""
        done = subprocess.run(
            [shutil.which("docker") or "docker", "compose", "-p", self.project, *self._files, *arguments],
            cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"docker compose {' '.join(arguments)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def up(self, *arguments: str, timeout: float = 300) -> float:
        """Returns when everything is healthy; the seconds that it took.

        `--wait` gives up on the first container that is unhealthy for a moment, which on a busy machine may be any.
        """
        began = time.monotonic()
        waiting = ("up", "-d", "--no-build", "--wait", "--wait-timeout", str(int(timeout)), *arguments)
        while True:
            try:
                self.run(*waiting, timeout=timeout + 60)
            except AssertionError as failed:
                if "is unhealthy" not in str(failed) or time.monotonic() - began > timeout:
                    raise
                time.sleep(1)
            else:
                return time.monotonic() - began

    def down(self) -> None:
        self.run("--profile", "sandbox", "--profile", "tools", "down", "-v", "--remove-orphans", "-t", "5")

    def address(self, service: str, port: int) -> str:
        """Where a published port is: host:port."""
        return self.run("port", service, str(port)).strip()

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.run("ps", "-q", service).split()

    def healths(self) -> dict[str, list[str]]:
        """What each long-running service's containers say of themselves."""
        found: dict[str, list[str]] = {}
        for line in self.run("ps", "--format", "json").splitlines():
            told = json.loads(line)
            found.setdefault(told["Service"], []).append(told["Health"] or told["State"])
        return found

    def healthy(self) -> bool:
        """Whether every long-running container is."""
        found = self.healths()
        return found.keys() == LONG_RUNNING.union(self._nodes) and all(
            set(states) == {"healthy"} for states in found.values()
        )

    def crash(self, container: str) -> bool:
        """Ends a container by SIGKILL; whether its restart policy holds.

        `docker kill` counts as the wish of a person, whom no policy overrules; a crash is imitated by killing the
        container's first process from outside, which only root may do.
        """
        try:
            os.kill(int(inspect(container, "{{.State.Pid}}")), signal.SIGKILL)
        except (PermissionError, ProcessLookupError):
            docker("kill", container)
            return False
        return True

    def tenant_password(self, tenant: str) -> str:
        return self.run(
            "--profile", "tools", "run", "--rm", "--no-deps", "-T",
            "--entrypoint", "cat", "pww", f"/secrets/tenants/{tenant}",
        ).strip()  # fmt: skip

    def pww(self, *arguments: str) -> str:
        """As an operator calls it."""
        return self.run("--profile", "tools", "run", "--rm", "-T", "pww", *arguments)
