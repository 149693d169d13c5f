"""`pww up` with the local WhatsApp beside it, and the real Baileys in the sidecar."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from typing import Any

import pytest

from tests.integration.up.conftest import Up, all_gone
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - the sandbox's page
            return bool(response.status == 200)
    except OSError:
        return False


def test_the_sandbox_and_the_sidecar_are_kept_alive_too(up: Up) -> None:
    """One that dies comes back under the same address; the ready file names its new process; none outlives us."""
    ready = up.start("--engine", "baileys")
    assert answers(ready["sandbox_url"])
    block_until(lambda: up.ready()["pids"]["sidecar"], 15)
    for name in ("sandbox", "sidecar"):
        (before,) = up.ready()["pids"][name]
        os.kill(before, signal.SIGKILL)
        block_until(lambda name=name, before=before: up.ready()["pids"][name] not in ([], [before]), 15)  # type: ignore[misc]
    block_until(lambda: answers(ready["sandbox_url"]), 15)
    assert up.ready()["sandbox_url"] == ready["sandbox_url"]
    pids = up.pids()
    up.process.kill()
    block_until(lambda: all_gone(pids), 10)
    again = up.start("--engine", "baileys")
    assert again["sandbox_url"] == ready["sandbox_url"]
    assert up.stop() == 0


def post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - the sandbox's interface
        assert response.status == 200


def status(up: Up) -> str:
    return str(json.loads(up.pww("session", "status", "s1", "--format", "json").stdout)["status"])


def test_a_paired_session_survives_everything(up: Up) -> None:
    """Paired once by the QR that `pww` shows; it works again after a stop in order, and after a kill -9."""
    ready = up.start("--engine", "baileys")
    up.pww("session", "start", "s1", "--no-wait")
    block_until(lambda: status(up) == "SCAN_QR_CODE", 30)
    code = up.pww("session", "qr", "s1", "--raw").stdout.strip()
    post(ready["sandbox_url"] + "/api/phones/5511988887777/scan", {"qr": code})
    block_until(lambda: status(up) == "WORKING", 30)
    up.pww("send", "--session", "s1", "--to", "+5511999990001", "one", "--wait", "delivered")
    assert up.stop() == 0
    for text in ("two", "three"):
        up.start("--engine", "baileys")
        block_until(lambda: status(up) == "WORKING", 30)
        up.pww("send", "--session", "s1", "--to", "+5511999990001", text, "--wait", "delivered")
        up.process.kill()
        up.process.wait(10)
