"""Where fleets' secrets, and what people said, may lie: a scan of everything else for them.

docs/SECURITY.md names the places; this list is the same. `fleets_in` finds every fleet that a run of tests left behind,
`hits` looks through one: its secrets are in its own files, and people's numbers and texts in its own database, so
nothing that some test made up has to be named here.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

KEEPS_SECRETS: Final = ("secrets.json", "encryption.key", "ready.json", "broker/nats.conf", "run/")
KEEPS_PEOPLE: Final = ("fleet.db", "broker/jetstream/", "sandbox/", "media/", "profiles/")
"""The database, the streams, the local WhatsApp's phones, stored files, browsers' profiles while they run."""
_SHORT: Final = 12
"""A text of fewer bytes may be any word: it proves nothing."""
_TEXTS: Final = 300
"""Of one fleet, at most."""
_DIGITS: Final = re.compile(rb"\d{10,15}")
_GREETING: Final = re.compile(rb"pww send --session s1 --to \+\d+")
"""The example that `pww up` prints names a number that tests like, too."""
_HALF_WRITTEN: Final = re.compile(r"(.*/)?\.(?P<name>[^/]+)\.[0-9a-f]{8}\.tmp")
"""What a killed process left of a file (`secrets.write_private`), with the same mode."""


def secrets_of(data: Path) -> list[str]:
    """Every secret of a fleet that was made by it."""
    found = json.loads((data / "secrets.json").read_text())
    tenants = list(found["tenants"].values())
    users = [found["platform"], found["system"], *found["services"].values(), *tenants]
    users += [user for tenant in tenants for user in tenant.get("users", {}).values()]
    words = [user["password"] for user in users] + [found["operator"]]
    words += [word for tenant in tenants for word in (tenant["api_key"], tenant["account"])]
    return [*words, *(data / "encryption.key").read_text().split()]


def people_of(data: Path) -> tuple[set[bytes], list[bytes]]:
    """Numbers and texts that its database has; none of one whose database lies elsewhere."""
    if not (data / "fleet.db").exists():
        return set(), []
    numbers: set[bytes] = set()
    texts: dict[bytes, None] = {}
    with contextlib.closing(sqlite3.connect(f"file:{data / 'fleet.db'}?mode=ro", uri=True)) as database:
        for query in (
            "SELECT pn FROM contacts",
            "SELECT pn FROM chats",
            "SELECT phone_number FROM sessions",
        ):
            numbers.update(number.strip("+").encode() for (number,) in database.execute(query) if number)
        for (body,) in database.execute("SELECT DISTINCT body FROM messages WHERE body IS NOT NULL"):
            if len(body.encode()) >= _SHORT and len(texts) < _TEXTS:
                texts[body.encode()] = None
    return {number for number in numbers if _DIGITS.fullmatch(number)}, list(texts)


def _files(data: Path, allowed: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    for path in data.rglob("*"):
        name = path.relative_to(data).as_posix()
        if half := _HALF_WRITTEN.fullmatch(name):
            name = (half[1] or "") + half["name"]
        if path.is_file() and not name.startswith(tuple(allowed)):
            with contextlib.suppress(FileNotFoundError):
                yield name, path.read_bytes()


def _processes(pid: int) -> Iterable[tuple[str, bytes]]:
    """Arguments and environments of everything that the fleet runs."""
    for child in psutil.Process(pid).children(recursive=True):
        for file in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                yield f"{file} of {child.pid}", Path(f"/proc/{child.pid}/{file}").read_bytes()


def hits(data: Path, *, log: bytes = b"", pid: int | None = None, texts: Sequence[str] = ()) -> list[str]:
    """Where something is that has no business there, in a data directory, a log, and the processes of a fleet.

    ``texts``: what has to be looked for beside what the fleet knows itself.
    """
    secrets = [word.encode() for word in secrets_of(data)]
    assert len(secrets) > 10
    numbers, said = people_of(data)
    said += [text.encode() for text in texts]
    said += [escaped for text in said if (escaped := json.dumps(text.decode())[1:-1].encode()) != text]
    elsewhere = [("the log", _GREETING.sub(b"", log)), *(_processes(pid) if pid is not None else ())]
    found = [
        f"{place}: a secret"
        for place, content in (*elsewhere, *_files(data, KEEPS_SECRETS))
        if any(word in content for word in secrets)
    ]
    for place, content in (*elsewhere, *_files(data, KEEPS_PEOPLE)):
        if numbers.intersection(_DIGITS.findall(content)):
            found.append(f"{place}: a number")
        found += [f"{place}: {text.decode()!r}" for text in said if text in content]
    return found


def fleets_in(directory: Path) -> Iterator[Path]:
    """The data directories of the fleets below a directory."""
    for path in directory.rglob("secrets.json"):
        if (path.with_name("encryption.key")).exists() and path.with_name("logs").is_dir():
            yield path.parent


def report(directory: Path) -> tuple[int, list[str]]:
    """Of all fleets that stopped below a directory: how many there were, and what was found.

    One that a test broke on purpose is passed over: this runs at the end of every run, and may not end it.
    """
    found, count = [], 0
    for data in fleets_in(directory):
        log = data.with_name("up.log")
        try:
            told = hits(data, log=log.read_bytes() if log.exists() else b"")
        except (OSError, sqlite3.Error, ValueError, LookupError, TypeError, AssertionError):
            continue
        count += 1
        found += [f"{data.relative_to(directory)}: {hit}" for hit in told]
    return count, found
