"""The marker by which a service says that it is ready."""

from __future__ import annotations

import os
from pathlib import Path

from pywhatsweb_runtime import ready


def test_it_names_the_process(tmp_path: Path) -> None:
    """So that one that an earlier process left behind does not count."""
    marker = tmp_path / "it.ready"
    assert not ready.announced(marker, os.getpid())
    ready.announce(str(marker))
    assert ready.announced(marker, os.getpid())
    assert not ready.announced(marker, os.getpid() + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["it.ready"]


def test_without_a_path_nothing_happens() -> None:
    """A service that nobody waits for has nothing to write."""
    ready.announce(None)
    ready.announce("")
