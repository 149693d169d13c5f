"""The command line without a fleet: how it parses, what it says, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pywhatsweb_fleet.broker.secrets import TenantSecrets, User
from pywhatsweb_fleet.cli import exits, link
from pywhatsweb_fleet.cli.main import run
from pywhatsweb_fleet.cli.options import Where
from pywhatsweb_fleet.up import ready_file

PWW = Path(sys.executable).with_name("pww")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own environment, nor of a fleet that runs beside."""
    for name in ("PWW_NATS_URL", "PWW_NATS_USER", "PWW_NATS_PASSWORD", "PWW_TENANT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PWW_DATA_DIR", str(tmp_path / "data"))


def write_ready(directory: Path, *tenants: str) -> None:
    directory.mkdir()
    ready = ready_file.Ready(
        nats_url="nats://127.0.0.1:1",
        http_url=None,
        sandbox_url=None,
        platform=User("platform", "p"),
        tenants={name: TenantSecrets(name, "secret", "key") for name in tenants},
        pids={},
    )
    ready_file.write([directory / "ready.json"], ready)


def test_version_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing heavy is imported to say a version; the limit is generous for a busy machine."""
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("pywhatsweb ")
    program = "import sys; from pywhatsweb_fleet.cli.main import run; run(['version']); print(*sys.modules)"
    began = time.monotonic()
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert time.monotonic() - began < 2
    assert not {"nats", "msgspec", "structlog", "sqlalchemy", "rich.table"} & set(loaded.split())


@pytest.mark.parametrize(
    "line",
    [
        "nothing",
        "session start",
        "send hello",
        "send --session s1 --to +5511999990001",
        "send hello --session S.1 --to +5511999990001",
        "send hello --session s1 --to +5511999990001 --wait never",
        "up --engine none",
        "up --tenant A.b",
        "up --workers -1",
        "up --ready-file /no/such/directory/ready.json",
        "run nothing",
        "schema xml",
        "events --limit 0",
        "events --session a.b",
        "health --tenant A.b",
    ],
)
def test_what_does_not_fit_is_told_in_two_lines(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, on standard error, without a traceback."""
    assert run(line.split()) == exits.USAGE
    told = capsys.readouterr()
    assert told.err.startswith("pww: ")
    assert len(told.err.splitlines()) <= 2
    assert told.out == ""


@pytest.mark.parametrize(
    "line", ["health", "session list", "send hi --session s1 --to 1", "events", "session qr s1"]
)
def test_without_a_fleet_the_way_to_one_is_shown(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and what to do."""
    assert run(line.split()) == exits.UNREACHABLE
    assert "pww up" in capsys.readouterr().err


def test_a_broker_that_does_not_answer_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Also in JSON, for programs, on standard output."""
    began = time.monotonic()
    assert (
        run(["health", "--url", "nats://127.0.0.1:1", "--user", "demo", "--format", "json"])
        == exits.UNREACHABLE
    )
    assert time.monotonic() - began < 5
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert "127.0.0.1:1" in answer["error"]["message"]


@pytest.mark.parametrize("kind", ["json", "asyncapi"])
def test_the_schemas_are_json(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, or in a file."""
    assert run(["schema", kind]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)
    assert run(["schema", kind, "--out", str(tmp_path / "it.json")]) == 0
    assert (tmp_path / "it.json").read_text() == printed


@pytest.mark.parametrize(
    "command", ["up", "run", "sandbox", "session start", "session qr", "send", "events", "health"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help works without a fleet, within 80 columns."""
    assert run([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: pww" in text
    assert max(map(len, text.splitlines())) <= 80


class TestWhichFleet:
    """Options come before the environment, and that before the ready file of a running `pww up`."""

    def test_the_ready_files_first_tenant(self, tmp_path: Path) -> None:
        """demo, if there is one; else the first by name."""
        write_ready(tmp_path / "data", "acme", "demo")
        target = link.find(Where())
        assert (target.tenant, target.broker.nats_user, target.broker.nats_password) == (
            "demo",
            "demo",
            "secret",
        )
        assert link.find(Where(tenant="acme")).tenant == "acme"
        write_ready(tmp_path / "other", "zeta", "beta")
        assert link.find(Where(data_dir=tmp_path / "other")).tenant == "beta"

    def test_a_tenant_that_is_not_there(self, tmp_path: Path) -> None:
        """Told with those that are."""
        write_ready(tmp_path / "data", "acme")
        with pytest.raises(exits.CommandError, match=r"no tenant rival; it has acme"):
            link.find(Where(tenant="rival"))

    def test_the_environment_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A broker named there is meant, even beside a local fleet; the password may stand in a file."""
        write_ready(tmp_path / "data", "demo")
        (tmp_path / "password").write_text("from-file\n")
        monkeypatch.setenv("PWW_NATS_URL", "nats://far:4222")
        monkeypatch.setenv("PWW_NATS_PASSWORD_FILE", str(tmp_path / "password"))
        monkeypatch.setenv("PWW_TENANT", "acme")
        target = link.find(Where())
        assert (target.broker.nats_url, target.tenant) == ("nats://far:4222", "acme")
        assert (target.broker.nats_user, target.broker.nats_password) == ("acme", "from-file")
        assert link.find(Where(user="u", tenant="t")).broker.nats_user == "u"
        assert link.find(Where(url="nats://other:1")).broker.nats_url == "nats://other:1"

    def test_a_tenant_is_needed(self) -> None:
        """With a broker but without credentials nobody can guess it."""
        with pytest.raises(exits.CommandError, match="which tenant"):
            link.find(Where(url="nats://far:4222"))
