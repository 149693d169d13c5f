"""`pww deadletter …` against a fleet that runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats
import pytest

from tests.integration.up.conftest import Up
from tests.support import block_until

pytestmark = pytest.mark.timeout(180)


def test_garbage_from_the_list_to_the_audit_trail(up: Up) -> None:
    """Listed, shown, put back (and set aside anew, for nobody can read it still), dropped on record."""
    ready = up.start("--engine", "simulated")
    up.pww("session", "start", "s1", "--wait", "--timeout", "50")
    assert "No dead letters" in up.pww("deadletter", "list").stdout
    asyncio.run(publish(ready, b"\xff garbage"))

    def listed(*arguments: str) -> list[dict[str, str]]:
        out = up.pww("deadletter", "list", "--format", "json", *arguments).stdout
        return [json.loads(line) for line in out.splitlines()]

    block_until(lambda: len(listed()) == 1, 20)
    (letter,) = listed("--code", "E_MALFORMED_BODY", "--session", "s1", "--kind", "command")
    table = up.pww("deadletter", "list").stdout
    assert letter["id"] in table
    assert max(map(len, table.splitlines())) <= 80
    assert "E_MALFORMED_BODY" in up.pww("deadletter", "show", letter["id"]).stdout
    assert "1 put back." in up.pww("deadletter", "redrive", letter["id"], "--by", "ana").stdout
    block_until(lambda: [each["id"] for each in listed()] not in ([], [letter["id"]]), 20)
    gone = up.pww("deadletter", "show", letter["id"], check=False)
    assert (gone.returncode, "E_DEADLETTER_NOT_FOUND" in gone.stderr) == (1, True)
    assert up.pww("deadletter", "drop", check=False).returncode == 2
    dropped = up.pww("deadletter", "drop", "--all", "--by", "ana", "--reason", "noise", "--format", "json")
    assert json.loads(dropped.stdout) == {"count": 1, "cursor": None}
    assert listed() == []
    entries = json.loads(up.pww("ask", "audit.list", '{"actor": "ana"}').stdout)["entries"]
    assert [entry["action"] for entry in entries] == ["deadletter.drop", "deadletter.redrive"]


async def publish(ready: dict[str, Any], body: bytes) -> None:
    tenant = ready["tenants"]["demo"]
    client = await nats.connect(ready["nats_url"], user=tenant["user"], password=tenant["password"])
    await client.request("wa.cmd.demo.s1.send", body, timeout=10)
    await client.close()
