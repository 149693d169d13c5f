"""The local WhatsApp as a child process: found, started, and what it tells of itself."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pywhatsweb_fleet.up.datadir import StartError
from pywhatsweb_fleet.up.services import READY_EVERY_S
from pywhatsweb_runtime.nodejs import compiled
from pywhatsweb_runtime.parent import die_with_parent


class SandboxReady(msgspec.Struct, frozen=True):
    """The sandbox's ready file."""

    ws_url: str
    root_key: str
    media_ca: str
    """PEM of the certificate of its media host."""
    media_url: str
    http_url: str
    pid: int


def node_binary(environ: Mapping[str, str]) -> str:
    """``PWW_NODE``, else the Node beside the interpreter (its wheel), else the system's. Raises StartError."""
    if named := environ.get("PWW_NODE"):
        return named
    beside = Path(sys.executable).with_name("node")
    if beside.exists():
        return str(beside)
    found = shutil.which("node", path=environ.get("PATH"))
    if found is None:
        raise StartError(
            "there is no Node.js for the sandbox: run `make setup`, install Node 22.18 or newer, "
            "or start without it (--engine simulated)."
        )
    return found


def entry_point() -> Path:
    """The sandbox's program: of a checkout, or the copy inside an installed wheel. Raises StartError."""
    fleet = Path(__file__).resolve().parent.parent
    for directory in (fleet.parent.parent / "sidecar-node", fleet / "_node"):
        program = directory / "sandbox" / "main.ts"
        if program.exists():
            return program
    raise StartError(
        "the sandbox's program is not installed; start with --no-sandbox, or --engine simulated."
    )


async def spawn(
    environ: Mapping[str, str], data_dir: Path, ready_file: Path, *, ws: int, http: int, media: int
) -> asyncio.subprocess.Process:
    """Starts it on these ports. It ends with us: its standard input closes, and the kernel sees to it."""
    program = entry_point()
    return await asyncio.create_subprocess_exec(
        node_binary(environ), program, "--data-dir", data_dir, "--ready-file", ready_file, "--exit-with-stdin",
        "--ws-port", str(ws), "--http-port", str(http), "--media-port", str(media),
        env={**compiled(program.parents[1]), **environ},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True, preexec_fn=die_with_parent(),
    )  # fmt: skip


async def until_ready(ready_file: Path, process: asyncio.subprocess.Process) -> SandboxReady:
    """What it says once it listens; an earlier start's file does not count."""
    while (told := _told(ready_file)) is None or told.pid != process.pid:  # noqa: ASYNC110 - its file
        await asyncio.sleep(READY_EVERY_S)
    return told


def _told(ready_file: Path) -> SandboxReady | None:
    try:
        return msgspec.json.decode(ready_file.read_bytes(), type=SandboxReady)
    except (OSError, msgspec.DecodeError):
        return None
