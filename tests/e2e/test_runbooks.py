"""The commands of RUNBOOKS.md, run as they are written, one after the other, on the fleet of docker-compose.yml."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import wait_until
from tests.support.compose import ROOT, Compose, docker, no_engine
from tests.support.containers import program, whatsapp
from tests.support.running import Plain, new_number, pair

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1500)]

LEFT_OUT = {
    r"^#": "a remark",
    r"^git pull": "changes the checkout",
    r"LETTER|DIR$|DIR ": "names what is there only then",
    r"pww events": "waits for what may not happen",
    r"pww (export|erase|audit)": "tests/e2e/test_law.py",
    r"pww (backup|restore)": "of `pww up`: tests/integration/up",
    r"tar -?.* -x <|pg_restore|--wait postgres|^docker compose up -d$": "into empty volumes: the second test",
}
BASH = shutil.which("bash") or "/bin/bash"
CONTACT = "+5511988880001"
PATIENCE = 5
"""Tries of a command: right after a restart the first may find nobody."""


def commands(after: str = "", until: str = "\0") -> list[str]:
    """In the document's order, or a part of it; several lines of one quotation are one."""
    part = (
        (ROOT / "RUNBOOKS.md").read_text().partition(after)[2]
        if after
        else (ROOT / "RUNBOOKS.md").read_text()
    )
    found: list[str] = []
    for line in re.findall(r"^ {4,}(\S.*)$", part.partition(until)[0], re.MULTILINE):
        if found and found[-1].count("'") % 2:
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def left_out(command: str) -> bool:
    return any(re.search(pattern, command) for pattern in LEFT_OUT)


def can_dump(stack: Compose) -> bool:
    """Whether the image has the pg_dump of its own server; a stand-in for the official one may have Debian's."""
    versions = [
        stack.run("exec", "-T", "postgres", program, "--version").split()[2].partition(".")[0]
        for program in ("pg_dump", "postgres")
    ]
    return len(set(versions)) == 1


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    if reason := no_engine():
        pytest.skip(reason)
    project = Compose()
    try:
        for service in ("setup", "session-worker", "sandbox"):
            project.run("build", service, timeout=800)
        project.up()
        yield project
    finally:
        project.down()


class Terminal:
    """Where they are typed: aliases stay, paths and ports are this project's."""

    def __init__(self, stack: Compose, directory: Path) -> None:
        self._environment = {
            **stack.environment,
            "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
            "COMPOSE_PROJECT_NAME": stack.project,
            "COMPOSE_PROFILES": "sandbox",
        }
        self._stack = stack
        self._directory = directory
        self._aliases: list[str] = []

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        if command.startswith("alias "):
            self._aliases.append(command)
        command = command.replace("pywhatsweb_nats-data", f"{self._stack.project}_nats-data")
        if "127.0.0.1:9201" in command:
            command = command.replace("127.0.0.1:9201", self._stack.address("sandbox", 9201))
        # "`pww tenant` below stands for `docker compose run --rm provision tenant` in compose."
        command = re.sub(r"^pww tenant", "docker compose run --rm provision tenant", command)
        script = "\n".join(["shopt -s expand_aliases", "set -o pipefail", *self._aliases, command])
        return subprocess.run(
            [BASH, "-c", script], cwd=self._directory, env=self._environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip


def works(command: str, done: subprocess.CompletedProcess[str]) -> bool:
    """grep finds nothing where nothing is wrong."""
    return done.returncode == 0 or ("| grep" in command and done.returncode == 1)


@pytest.fixture(scope="module")
def terminal(stack: Compose, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(stack, tmp_path_factory.mktemp("operator"))


async def test_every_command_works_as_it_is_written(stack: Compose, terminal: Terminal) -> None:
    """With a session s1 that has sent the command order-1042."""
    async with program(stack) as user, whatsapp(stack) as local:
        await pair(user, local, "s1", new_number())
        await user.send("s1", "order-1042", CONTACT, "Olá")
        await wait_until(lambda: user.steps("order-1042")[-1:] == ["read"], 60, message="it was read")
    wrong = []
    ran = [command for command in commands() if not left_out(command)]
    if not can_dump(stack):
        print("left out: pg_dump is not of the server's version")  # noqa: T201
        ran = [command for command in ran if "pg_dump" not in command]
    assert len(ran) > 50
    for command in ran:
        done = terminal.type(command)
        for _ in range(PATIENCE):
            if works(command, done):
                break
            time.sleep(5)  # noqa: ASYNC251 - nothing else runs here
            done = terminal.type(command)
        if not works(command, done):
            wrong.append((command, done.returncode, (done.stdout + done.stderr)[-600:]))
    assert not wrong, "\n\n".join(map(str, wrong))
    async with httpx.AsyncClient(base_url=f"http://{stack.address('gateway', 8080)}") as http:
        assert (await http.get("/v1/sessions")).status_code == 401


async def test_what_was_backed_up_is_restored_as_it_is_written(stack: Compose, terminal: Terminal) -> None:
    """Into empty volumes: the record is there, and the session sends without a QR code. WhatsApp alone stays."""
    if not can_dump(stack):
        pytest.skip("pg_dump is not of the server's version (POSTGRES_IMAGE names another)")
    await wait_until(stack.healthy, 180, interval=1, message="the test before ends with restarts")
    number = new_number()
    async with program(stack) as user, whatsapp(stack) as local:
        await pair(user, local, "kept", number)
        await user.send("kept", "kept-1", CONTACT, "Olá")
        await wait_until(lambda: user.steps("kept-1")[-1:] == ["read"], 60, message="it was read")
        await wait_until(lambda: _recorded(user, "kept-1"), 60, message="the record has it")
    for command in commands("## Backup", "Restore into empty volumes"):
        _works(terminal, command)
    stack.run("down", "-t", "10")
    for volume in docker("volume", "ls", "-q", "-f", f"name={stack.project}_").stdout.split():
        if not volume.endswith("_sandbox-data"):
            assert docker("volume", "rm", volume).returncode == 0, volume
    for command in commands("Restore into empty volumes", "**Never run"):
        _works(terminal, command)
    stack.up()
    async with program(stack) as user, whatsapp(stack) as local:
        assert await _recorded(user, "kept-1")
        await user.send("kept", "kept-2", CONTACT, "Tudo bem?")
        await wait_until(lambda: user.steps("kept-2")[-1:] == ["read"], 120, message="it was read")
        texts = [entry["text"] for entry in await local.decrypted(number) if entry["kind"] == "message"]
        assert texts == ["Olá", "Tudo bem?"]


async def _recorded(user: Plain, command_id: str) -> bool:
    answer = await user.ask("message.status", id=command_id)
    return bool(answer["ok"]) and "read" in [step["status"] for step in answer["data"]["history"]]


def _works(terminal: Terminal, command: str) -> None:
    done = terminal.type(command)
    assert done.returncode == 0, (command, done.stdout[-600:], done.stderr[-600:])
