"""A user's program type-checks strictly against the installed package, which says that it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pywhatsweb

HERE = Path(__file__).parent


def mypy(program: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    root = Path(pywhatsweb.__file__).parent.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += [f"--cache-dir={tmp_path}", "--python-version=3.11", str(program)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"MYPYPATH": str(root), "PATH": ""},
        cwd=tmp_path,
    )


def test_a_users_program(tmp_path: Path) -> None:
    """mypy --strict finds nothing in the sample, and finds what is wrong in a wrong one."""
    assert (Path(pywhatsweb.__file__).parent / "py.typed").exists()
    found = mypy(HERE / "sample.py", tmp_path)
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from pywhatsweb import FleetClient\n"
        "async def f(fleet: FleetClient) -> None:\n"
        "    await fleet.session('s').send_text('x', 'y', priority='urgent')\n"
        "    await (await fleet.session('s').send_text('x', 'y')).outcome('finished')\n"
    )
    refused = mypy(wrong, tmp_path)
    assert refused.returncode == 1
    assert refused.stdout.count("error:") == 2, refused.stdout
