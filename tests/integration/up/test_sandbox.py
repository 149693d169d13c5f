"""`pww up` with the local WhatsApp beside it, and the real Baileys in the sidecar."""

from __future__ import annotations

import os
import signal
import urllib.request

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
