"""`pww setup`: the files that a fleet of containers reads."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pywhatsweb_fleet.cli import main

NATS_SERVER = Path(sys.executable).with_name("nats-server")


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }


def test_everything_is_made_once_and_kept(tmp_path: Path) -> None:
    """A second setup changes no secret; a further tenant is added to what is there."""
    assert main.run(["setup", "--dir", str(tmp_path / "s"), "--tenant", "demo"]) == 0
    first = files(tmp_path / "s")
    assert main.run(["setup", "--dir", str(tmp_path / "s")]) == 0
    assert files(tmp_path / "s") == first
    assert main.run(["setup", "--dir", str(tmp_path / "s"), "--tenant", "acme"]) == 0
    then = files(tmp_path / "s")
    changed = {name for name in then if then[name] != first.get(name)}
    assert changed == {"secrets.json", "nats/nats.conf", "tenants/acme"}


def test_only_postgres_file_can_be_read_by_others(tmp_path: Path) -> None:
    """Each file is its owner's alone, but for the one that the database's own user must read."""
    main.run(["setup", "--dir", str(tmp_path), "--tenant", "demo", "--cluster", "n-1", "n-2", "n-3"])
    open_to_others = [
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == ["postgres/password"]


def test_the_database_password_stands_in_the_url(tmp_path: Path) -> None:
    """Services and PostgreSQL are given the same password."""
    main.run(["setup", "--dir", str(tmp_path), "--database-url", "postgresql://pww:{password}@db/x"])
    password = (tmp_path / "postgres" / "password").read_text()
    assert (tmp_path / "fleet" / "database_url").read_text() == f"postgresql://pww:{password}@db/x"


@pytest.mark.parametrize("name", ["nats.conf", "cluster.conf"])
def test_nats_server_takes_what_is_written(tmp_path: Path, name: str) -> None:
    """The configuration of one node, and that of a cluster's nodes, are valid."""
    main.run(["setup", "--dir", str(tmp_path), "--tenant", "demo", "--cluster", "n-1", "n-2", "n-3"])
    done = subprocess.run(
        [NATS_SERVER, "-t", "-c", tmp_path / "nats" / name],
        env={"SERVER_NAME": "n-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_no_tenant_may_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written."""
    assert main.run(["setup", "--dir", str(tmp_path / "s"), "--tenant", "Not A Name"]) == 2
    assert not (tmp_path / "s").exists()
    assert "cannot be a tenant's name" in capsys.readouterr().err
