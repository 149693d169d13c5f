"""Programs that a check needs and this machine may lack: found on PATH or beside the Python that runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compose import ROOT


def tool(name: str) -> str:
    """Its path; skips the test where it is missing."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def call(*command: str | Path, cwd: Path = ROOT) -> str:
    """What it prints; fails with all that it said when it ends with an error."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
