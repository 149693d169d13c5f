"""The command line against a fleet that runs: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.up.conftest import PWW, Up, environment
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)
TO = "+5511999990001"


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(found) for found in text.splitlines()]


def test_a_session_its_messages_and_its_events(up: Up, tmp_path: Path) -> None:
    """One fleet, from the first start of a session to its end, for people and for programs."""
    up.start("--engine", "simulated", "--tenant", "demo", "rival")
    assert "No sessions" in up.pww("session", "list").stdout
    with (tmp_path / "events").open("wb") as out:
        follower = subprocess.Popen(
            [PWW, "events", "--follow", "--format", "json", "--data-dir", up.data_dir],
            env=environment(), stdout=out, stderr=subprocess.PIPE,
        )  # fmt: skip

    started = up.pww("session", "start", "s1", "--wait", "--timeout", "50").stdout
    assert "SCAN_QR_CODE" in started
    assert "█" in started
    assert "WORKING" in started
    (told,) = documents(up.pww("session", "list", "--format", "json").stdout)
    assert (told["session_id"], told["status"]) == ("s1", "WORKING")
    assert max(map(len, up.pww("session", "list").stdout.splitlines())) <= 80

    sent = up.pww(
        "send", "--session", "s1", "--to", TO, "hello", "--id", "c1", "--wait", "read", "--format", "json"
    )
    statuses = [found["status"] for found in documents(sent.stdout)]
    assert statuses[0] == "accepted"
    assert statuses[-1] == "read"
    assert {found["command_id"] for found in documents(sent.stdout)} == {"c1"}

    picture = tmp_path / "a.pdf"
    picture.write_bytes(b"%PDF-1.4 " + bytes(600_000))
    for words in (
        ("--file", str(picture), "uma legenda"),
        ("--type", "location", "--content", '{"latitude": -23.5, "longitude": -46.6}'),
    ):
        up.pww("send", "--session", "s1", "--to", TO, *words, "--wait", "delivered")
    (known,) = documents(up.pww("session", "capabilities", "s1", "--format", "json").stdout)
    assert "interactive.list" in known["kinds"]

    def commands_in_events() -> list[str]:
        return [
            found["data"]["status"]
            for found in documents((tmp_path / "events").read_text())
            if found["event"] == "status" and found["data"]["command_id"] == "c1"
        ]

    block_until(lambda: "read" in commands_in_events(), 10)
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=10)
    assert (follower.returncode, said) == (130, b"")

    unknown = up.pww("send", "--session", "nobody", "--to", TO, "hello", check=False)
    assert (unknown.returncode, "E_SESSION_NOT_FOUND" in unknown.stderr) == (1, True)
    number = up.pww("send", "--session", "s1", "--to", "12", "hello", "--format", "json", check=False)
    assert number.returncode == 1
    assert documents(number.stdout)[-1]["error"]["code"] == "E_INVALID_PHONE"
    assert up.pww("session", "status", "nobody", check=False).returncode == 1
    foreign = up.pww("session", "status", "s1", "--tenant", "rival", check=False)
    assert (foreign.returncode, "E_SESSION_NOT_FOUND" in foreign.stderr) == (1, True)

    assert "STOPPED" in up.pww("session", "stop", "s1").stdout + up.pww("session", "status", "s1").stdout
    late = up.pww("send", "--session", "s1", "--to", TO, "hello", "--timeout", "1", check=False)
    assert late.returncode in (1, 4)  # refused because it is stopped, or waiting for its next start
    code = up.pww("session", "qr", "s1", check=False)
    assert (code.returncode, "E_" in code.stderr) == (1, True)


def test_a_broker_named_in_the_environment(up: Up, tmp_path: Path) -> None:
    """Without a ready file: URL, tenant and password file; a wrong password is told as such."""
    ready = up.start()
    (tmp_path / "password").write_text(ready["tenants"]["demo"]["password"])
    environ = environment() | {
        "PWW_NATS_URL": ready["nats_url"],
        "PWW_TENANT": "demo",
        "PWW_NATS_PASSWORD_FILE": str(tmp_path / "password"),
    }
    done = subprocess.run(
        [PWW, "health"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "broker" in done.stdout) == (0, True), done.stderr
    (tmp_path / "password").write_text("wrong")
    done = subprocess.run(
        [PWW, "health"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "refuses the user demo" in done.stderr) == (3, True), done.stderr


def test_a_tenant_is_added_to_a_running_fleet(up: Up) -> None:
    """It is in the ready file and works at once; after a restart too. Nobody's connection breaks."""
    up.start()
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    assert "newcomer is there" in up.pww("tenant", "add", "newcomer").stdout
    assert up.pww("tenant", "list").stdout.split() == ["demo", "newcomer"]
    assert set(up.ready()["tenants"]) == {"demo", "newcomer"}
    up.pww("session", "start", "n1", "--tenant", "newcomer", "--wait", "--timeout", "50")
    up.pww("send", "--tenant", "newcomer", "--session", "n1", "--to", TO, "hello", "--wait", "read")
    up.pww("send", "--session", "s1", "--to", TO, "hello", "--wait", "read")
    assert "broker disconnected" not in up.log
    assert up.stop() == 0
    assert "will be there" in up.pww("tenant", "add", "third").stdout
    assert set(up.start()["tenants"]) == {"demo", "newcomer", "third"}


def test_one_service_runs_alone(up: Up, tmp_path: Path) -> None:
    """`pww run` takes its settings from the environment, and says in a sentence what is wrong with them."""
    ready = up.start()
    (tmp_path / "password").write_text(ready["platform"]["password"])
    marker = tmp_path / "second.ready"
    environ = environment() | {
        "PWW_NATS_URL": ready["nats_url"],
        "PWW_NATS_USER": "platform",
        "PWW_NATS_PASSWORD_FILE": str(tmp_path / "password"),
        "PWW_DATABASE_URL": f"sqlite:///{up.data_dir / 'fleet.db'}",
        "PWW_DATA_DIR": str(up.data_dir),
        "PWW_READY_FILE": str(marker),
    }
    second = subprocess.Popen([PWW, "run", "dispatcher"], env=environ, stderr=subprocess.DEVNULL)
    try:
        block_until(marker.exists, 30)
        second.terminate()
        assert second.wait(30) == 0
    finally:
        second.kill()
    done = subprocess.run(
        [PWW, "run", "session-worker"], env=environ | {"PWW_LOG_LEVEL": "loud"}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.startswith("PWW_LOG_LEVEL does not fit")) == (2, True), done.stderr


def test_the_interpreter_is_not_needed_by_name(tmp_path: Path) -> None:
    """`pww version` works from any directory, with an empty environment."""
    done = subprocess.run(
        [PWW, "version"], cwd=tmp_path, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "pywhatsweb"), (done.stderr, sys.executable)
