"""`make setup`: what it decides, and how it fails."""

import subprocess
from pathlib import Path

import pytest

from tools import setup

ROOT = Path(__file__).resolve().parents[2]


def test_a_digest_follows_the_files_contents(tmp_path: Path) -> None:
    """A changed lock is noticed, an untouched one is not."""
    lock, other = tmp_path / "lock", tmp_path / "other"
    lock.write_text("a==1")
    other.write_text("b==1")
    before = setup.digest(lock, other)
    assert setup.digest(lock, other) == before
    other.write_text("b==2")
    assert setup.digest(lock, other) != before


def test_stamps_are_kept_and_a_broken_file_is_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted write must end in a new install, not in a traceback."""
    monkeypatch.setattr(setup, "PYTHON_STAMPS", tmp_path / "stamps.json")
    setup.Stamps.load().set("packages", "key")
    assert setup.Stamps.load().stands("packages", "key")
    (tmp_path / "stamps.json").write_text("{")
    assert not setup.Stamps.load().has("packages")


def test_the_node_link_is_moved_to_another_node(tmp_path: Path) -> None:
    """A system's Node that was replaced or removed leaves no stale link behind."""
    link = tmp_path / "node"
    for target in (tmp_path / "gone", tmp_path / "there", tmp_path / "there"):
        setup.point(link, target)
        assert link.readlink() == target


@pytest.mark.parametrize(("told", "fits"), [("v20.20.2", False), ("v22.17.9", False), ("v22.18.0", True)])
def test_only_a_node_that_runs_typescript_fits(tmp_path: Path, told: str, fits: bool) -> None:
    """22.18 is the first that needs no flag."""
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho {told}\n")
    node.chmod(0o755)
    assert (setup.node_version(str(node)) >= setup.NODE_MINIMUM) is fits


def test_an_unfit_python_is_refused_in_one_sentence() -> None:
    """The person is told what is missing, not shown a traceback."""
    refused = subprocess.run(
        ["/bin/sh", ROOT / "tools" / "setup.sh"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr == "setup: PYTHON=/bin/false is not a Python 3.11 or newer with the module venv.\n"
