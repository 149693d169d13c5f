"""Where a fleet's secrets, and what people said, may lie: a scan of everything else for them.

docs/SECURITY.md names the places; this list is the same.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from tests.support.running import Fleet

KEEPS_SECRETS = ("secrets.json", "encryption.key", "ready.json", "broker/nats.conf", "run/")
KEEPS_PEOPLE = ("fleet.db", "broker/jetstream/", "sandbox/", "media/")
"""The database, the streams, the local WhatsApp's phones, stored files."""


def secrets_of(data: Path) -> list[str]:
    """Every secret of a fleet that was made by it."""
    found = json.loads((data / "secrets.json").read_text())
    users = [found["platform"], found["system"], *found["services"].values(), *found["tenants"].values()]
    words = [user["password"] for user in users] + [found["operator"]]
    words += [word for tenant in found["tenants"].values() for word in (tenant["api_key"], tenant["account"])]
    return [*words, (data / "encryption.key").read_text().strip()]


def _files(data: Path, allowed: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    for path in data.rglob("*"):
        name = path.relative_to(data).as_posix()
        if path.is_file() and not name.startswith(tuple(allowed)):
            with contextlib.suppress(FileNotFoundError):
                yield name, path.read_bytes()


def _processes(fleet: Fleet) -> Iterable[tuple[str, bytes]]:
    """Arguments and environments of everything that the fleet runs."""
    for child in psutil.Process(fleet.pid).children(recursive=True):
        for file in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                yield f"{file} of {child.pid}", Path(f"/proc/{child.pid}/{file}").read_bytes()


def hits(fleet: Fleet, *, numbers: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Where something is that has no business there."""
    data = fleet.directory / "data"
    secrets = secrets_of(data)
    people = [*numbers, *texts]
    log = [("the log", fleet.log.encode())]
    places = [
        (secrets, [*log, *_files(data, KEEPS_SECRETS), *_processes(fleet)]),
        (people, [*log, *_files(data, KEEPS_PEOPLE), *_processes(fleet)]),
    ]
    assert len(secrets) > 10
    return [
        f"{place}: {'a secret' if words is secrets else word}"
        for words, where in places
        for place, content in where
        for word in words
        if word.encode() in content
    ]
