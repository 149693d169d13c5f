"""Browser profiles are taken away when nobody needs them, and never one that is newer than the sealed one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb_fleet.session_worker.profiles import Key, Profiles
from pywhatsweb_fleet.storage.faults import StorageUnavailable

KEY = ("acme", "s1")
MARKER = {"profile": "p", "generation": 3, "previous": 2, "session": "acme/s1"}


def laid(folder: Path, marker: dict[str, Any] | None = MARKER, name: str = "a" * 32) -> Path:
    profile = folder / name
    (profile / "session" / "Default").mkdir(parents=True)
    if marker is not None:
        (profile / "profile.json").write_text(json.dumps(marker))
    for path in (profile, profile / "session", *profile.glob("*.json")):
        os.utime(path, (1, 1))
    return profile


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[None]:
    """A process with a browser's arguments."""
    command = [sys.executable, "-c", "print(flush=True); input()", f"--user-data-dir={profile}/session"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.communicate()


def sweeper(folder: Path, record: dict[str, Any] | None, *, owned: tuple[Key, ...] = ()) -> Profiles:
    async def creds(_key: Key) -> bytes | None:
        return None if record is None else json.dumps(record).encode()

    return Profiles(folder, owned.__contains__, creds)


@pytest.mark.parametrize(
    ("record", "goes"),
    [
        pytest.param(None, True, id="its device was unlinked"),
        pytest.param({"profile": "p", "generation": 4}, True, id="another machine opened it since"),
        pytest.param({"profile": "q", "generation": 1}, True, id="another device was linked since"),
        pytest.param({"profile": "p", "generation": 3, "snapshot": {"generation": 3}}, True, id="sealed"),
        pytest.param({"profile": "p", "generation": 3, "snapshot": {"generation": 2}}, False, id="newest"),
        pytest.param({"profile": "p", "generation": 3}, False, id="never sealed"),
        pytest.param({"profile": "p", "generation": 2, "snapshot": {"generation": 2}}, False, id="opened"),
    ],
)
async def test_what_is_not_newer_than_the_sealed_one_goes(
    tmp_path: Path, record: dict[str, Any] | None, goes: bool
) -> None:
    """The store's record decides; one of a session that this worker has stays whatever it says."""
    profile = laid(tmp_path)
    assert await sweeper(tmp_path, record, owned=(KEY,)).sweep() == 0
    assert await sweeper(tmp_path, record).sweep() == int(goes)
    assert profile.exists() is not goes
    assert names(tmp_path) == ([] if goes else [profile.name])


async def test_what_changed_lately_or_has_a_browser_stays(tmp_path: Path) -> None:
    """A start under way is seen by the folder's times, a browser by its command line."""
    young, used = laid(tmp_path), laid(tmp_path, name="b" * 32)
    os.utime(young / "session")
    with browser(used):
        assert await sweeper(tmp_path, None).sweep() == 0
    assert await sweeper(tmp_path, None).sweep() == 1
    assert young.exists()


async def test_a_pairing_that_came_to_nothing_goes_and_older_markers_stay(tmp_path: Path) -> None:
    """Without a marker nothing was ever linked; a marker without a name is of an earlier version."""
    nothing = laid(tmp_path, marker=None)
    nameless = laid(tmp_path, {"profile": "p", "generation": 1}, name="b" * 32)
    assert await sweeper(tmp_path, None).sweep() == 1
    assert (nothing.exists(), nameless.exists()) == (False, True)


async def test_nothing_goes_while_the_store_is_away_and_a_crash_is_ended(tmp_path: Path) -> None:
    """Who cannot ask keeps everything; what a crash left half removed is removed."""

    async def away(_key: Key) -> bytes | None:
        raise StorageUnavailable

    profile, half = laid(tmp_path), tmp_path / ".swept-x"
    (half / "session").mkdir(parents=True)
    with pytest.raises(StorageUnavailable):
        await Profiles(tmp_path, lambda _: False, away).sweep()
    assert (profile.exists(), half.exists()) == (True, False)
    assert await sweeper(tmp_path / "nowhere", None).sweep() == 0
