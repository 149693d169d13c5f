"""What can be looked at of a fleet from a terminal: each look is a `Finding`, and none of them raises."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final, NamedTuple

from pywhatsweb_fleet.cli import exits, show

State = str
OK, WARN, BAD = "ok", "warning", "failed"
PYTHON: Final = (3, 11)
NODE: Final = (22, 18)
NATS: Final = (2, 12)


class Finding(NamedTuple):
    """`state`: ok, warning (it goes without) or failed."""

    name: str
    state: State
    detail: str


def tell(findings: Sequence[Finding], form: str) -> int:
    """Shows them; the exit code: 1 when one failed."""
    if form == "json":
        for one in findings:
            show.json_line(one._asdict())
    else:
        show.table(("CHECK", "STATE", "DETAIL"), findings)
    return exits.FAILED if any(one.state == BAD for one in findings) else exits.OK


async def timed(name: str, look: Callable[[], Awaitable[str]], within_s: float = 10) -> Finding:
    """A look that may fail in any way; its detail with the time that it took."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(within_s):
            said = await look()
    except exits.CommandError as error:
        return Finding(name, BAD, error.sentence)
    except TimeoutError:
        return Finding(name, BAD, f"no answer within {within_s:g} s")
    except OSError as error:
        return Finding(name, BAD, error.strerror or type(error).__name__)
    took = round((time.monotonic() - began) * 1000)
    return Finding(name, OK, f"{said} ({took} ms)" if said else f"{took} ms")


# What this machine has.


def compatibility(environ: Mapping[str, str]) -> list[Finding]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    return [
        Finding("python", OK if sys.version_info >= PYTHON else BAD, f"{python} (3.11 or newer)"),
        *(_package(name) for name in ("msgspec", "nats-py", "sqlalchemy", "cryptography")),
        Finding("sqlite", OK if sqlite3.sqlite_version_info >= (3, 37) else BAD, sqlite3.sqlite_version),
        _program("nats-server", Path(sys.executable).with_name("nats-server"), NATS),
        *sidecar(environ),
        _optional("ffmpeg", "sound is not converted"),
        _optional("chromium", "the webjs engine does not run"),
    ]


def sidecar(environ: Mapping[str, str]) -> list[Finding]:
    """Node as workers start it, and the packages beside the sidecar."""
    import json

    from pywhatsweb_fleet.up import sandbox
    from pywhatsweb_fleet.up.datadir import StartError

    try:
        node = _program("node", Path(sandbox.node_binary(environ)), NODE)
        modules = sandbox.entry_point().parent.parent / "node_modules"
    except StartError as error:
        return [Finding("node", WARN, str(error))]
    found = [node]
    for package in ("baileys", "whatsapp-web.js"):
        manifest = modules / package / "package.json"
        if manifest.exists():
            found.append(Finding(package, OK, str(json.loads(manifest.read_text("utf-8"))["version"])))
        else:
            found.append(Finding(package, WARN, "not installed: its engine does not run"))
    return found


def _package(name: str) -> Finding:
    try:
        return Finding(name, OK, installed(name))
    except PackageNotFoundError:
        return Finding(name, BAD, "not installed")


def _program(name: str, path: Path, least: tuple[int, int]) -> Finding:
    wanted = ".".join(map(str, least))
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Finding(name, BAD, f"does not start ({wanted} or newer)")
    said = done.stdout.strip().splitlines()[-1].split()[-1].lstrip("v") if done.stdout.strip() else ""
    try:
        version = tuple(int(part) for part in said.split(".")[:2])
    except ValueError:
        version = (0, 0)
    return Finding(name, OK if version >= least else BAD, f"{said or 'unknown'} ({wanted} or newer)")


def _optional(name: str, without: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, OK, path) if path else Finding(name, WARN, f"not found: {without}")


# What a fleet says.


def parts(health: Mapping[str, Any], names: Sequence[str] | None = None) -> list[Finding]:
    """The parts of ``health.get``, or those of these names."""
    return [
        Finding(name, OK if part["ok"] else BAD, part["detail"] or "")
        for name, part in health["parts"].items()
        if names is None or name in names
    ]


def sessions(found: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Those that are to run and do not are failures."""
    told = []
    for one in sorted(found, key=lambda one: str(one["session_id"])):
        wanted = one.get("desired") != "stopped"
        state = OK if one["status"] == "WORKING" or not wanted else WARN
        if one["status"] in ("LOGGED_OUT", "REPLACED", "BANNED", "FAILED") and wanted:
            state = BAD
        error = one.get("error") or {}
        detail = " ".join(filter(None, (one["status"], one.get("reason"), error.get("code"))))
        told.append(Finding(f"session {one['session_id']}", state, detail))
    return told


def storage(data_dir: Path) -> list[Finding]:
    """What the data directory takes, and what is left beside it."""
    try:
        free = shutil.disk_usage(data_dir).free
        used = sum(path.stat().st_size for path in data_dir.rglob("*") if path.is_file())
    except OSError as error:
        return [Finding("disk", BAD, f"{data_dir}: {error.strerror}")]
    state = OK if free > 2**30 else WARN if free > 2**28 else BAD
    return [Finding("disk", state, f"{data_dir} takes {size(used)}; {size(free)} are free")]


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


async def fetch(url: str, within_s: float = 5) -> str:
    """The body of a local service's page. Raises OSError."""
    import urllib.error
    import urllib.request

    def get() -> str:
        try:
            with urllib.request.urlopen(url, timeout=within_s) as answer:  # noqa: S310 - the ready file's own
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return str(error.read().decode())

    return await asyncio.to_thread(get)
