"""A user's program type-checks strictly against the installed package, which says that it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.timeout(300)
def test_the_public_library_is_typed(tmp_path: Path) -> None:
    """Every name that the wheel's `pywhatsweb` exports has a type that every checker infers alike.

    Without what Django's own classes lend: they are untyped.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=HERE.parents[1], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("pywhatsweb-*.whl")
    installed, folder = tmp_path / "installed", tmp_path / "folder"
    zipfile.ZipFile(wheel).extractall(installed)
    folder.mkdir()
    packages = sysconfig.get_paths()["purelib"]
    done = subprocess.run(
        [
            sys.executable, "-m", "basedpyright", "--verifytypes", "pywhatsweb", "--ignoreexternal",
            "--outputjson", "--pythonpath", sys.executable,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{packages}"},
    )  # fmt: skip
    found = json.loads(done.stdout)["typeCompleteness"]
    exported = [symbol for symbol in found["symbols"] if symbol["isExported"]]
    assert len(exported) > 4000, done.stdout[:2000]
    unknown = [symbol for symbol in exported if not symbol["isTypeKnown"]]
    assert [
        (symbol["name"], [each["message"] for each in symbol["diagnostics"]])
        for symbol in unknown
        if not symbol["name"].startswith("pywhatsweb.django.")
    ] == []
