"""A disk without room: nothing ends for it, and what it broke mends itself once there is room."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psutil
import pytest

from tests.integration.up.conftest import Up
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)


def test_a_stream_that_could_not_be_written_is_written_again(up: Up) -> None:
    """Baileys seed 3: JetStream gives such a stream up for good, until nats-server starts again."""
    (before,) = up.start()["pids"]["nats-server"]
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    psutil.Process(before).rlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    up.pww("send", "--session", "s1", "--to", "+5511999990001", "lost", check=False)
    block_until(lambda: up.ready()["pids"]["nats-server"] not in ([before], []), 60)
    block_until(lambda: up.pww("health", check=False).returncode == 0, 60)
    up.pww(
        "send", "--session", "s1", "--to", "+5511999990001", "hello", "--wait", "delivered", "--timeout", "50"
    )


def test_what_cannot_be_written_down_ends_nobody(up: Up) -> None:
    """Baileys seed 5: the list of what runs could not be written, and whoever died was not started again."""
    (before,) = up.start()["pids"]["dispatcher"]
    remembered = up.data_dir / "run"
    away = remembered.with_name("away")
    remembered.rename(away)
    os.kill(before, 9)
    block_until(lambda: "could not be written down" in up.log, 30)
    Path(away).rename(remembered)
    block_until(lambda: up.ready()["pids"]["dispatcher"] not in ([before], []), 60)
    assert up.stop() == 0
