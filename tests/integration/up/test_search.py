"""`pww search` and `pww stats` against a fleet that runs: through the broker's rights, the record and the contract."""

from __future__ import annotations

import json

import pytest

from tests.integration.up.conftest import Up
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)


def test_what_was_said_is_found_and_counted(up: Up) -> None:
    """As a table within 80 columns and as JSON; nothing found is said."""
    up.start("--engine", "simulated")
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    for name, text in (("first", "Sua encomenda não chegou?"), ("second", "Ela chega amanhã.")):
        up.pww("send", text, "--session", "s1", "--to", "+5511999990001", "--id", name, "--wait", "sent")

    def found(*arguments: str) -> list[str]:
        out = up.pww("search", *arguments, "--format", "json").stdout
        return [json.loads(line)["text"]["body"] for line in out.splitlines()]

    block_until(lambda: len(found("cheg*")) == 2, 30)

    def steps() -> list[dict[str, str]]:
        answer: dict[str, list[dict[str, str]]] = json.loads(
            up.pww("ask", "message.status", '{"id": "first"}').stdout
        )
        return answer["history"]

    block_until(lambda: {"accepted", "sent"} <= {step["status"] for step in steps()}, 30)
    times = [step["at"] for step in steps()]
    assert times == sorted(times)
    assert all(times)
    assert found("NAO encomenda") == ["Sua encomenda não chegou?"]
    assert found("encomenda", "--origin", "inbound") == []
    assert len(found("cheg*", "--to", "+5511999990001", "--session", "s1", "--limit", "1")) == 1
    table = up.pww("search", "encomenda").stdout
    assert "encomenda" in table
    assert max(map(len, table.splitlines())) <= 80
    assert "No message" in up.pww("search", "nothing-like-it").stdout
    stats = json.loads(up.pww("stats", "--days", "2", "--zone", "UTC", "--format", "json").stdout)
    assert stats["counts"]["outbound"] == 2
    assert "OUT" in up.pww("stats").stdout
    assert up.pww("search", "🚚", check=False).returncode == 1
