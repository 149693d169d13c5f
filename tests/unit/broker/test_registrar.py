"""Changes to tenants that come at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pywhatsweb_fleet.broker import secrets
from pywhatsweb_fleet.broker.secrets import Secrets
from pywhatsweb_fleet.tenancy.registrar import Registrar
from tests.support import wait_until

NAMES = [f"t{number}" for number in range(20)]


class Counted:
    """A broker that takes its time, and writes down whom each change shut out."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.changes: list[set[str]] = []

    async def apply(self, before: Secrets, after: Secrets) -> None:
        changed = {name for name in NAMES if before.tenants[name] != after.tenants[name]}
        self.changes.append(changed)
        self.begun.set()
        await self.go_on.wait()

    async def restore(self, secrets: Secrets) -> None:
        """Not asked for."""


async def test_what_waits_for_the_broker_goes_to_it_together(tmp_path: Path) -> None:
    """A reload of a thousand tenants takes its time: twenty changes at once are two of them, and each is there."""
    found = secrets.load_or_make(tmp_path, NAMES)
    broker = Counted()
    bus: Any = None
    registrar = Registrar(bus, broker, tmp_path, found, operator=False)
    first = asyncio.create_task(registrar.shut_out(NAMES[0]))
    await broker.begun.wait()
    others = [asyncio.create_task(registrar.shut_out(name)) for name in NAMES[1:]]
    await wait_until(lambda: all(tenant.suspended for tenant in registrar.secrets.tenants.values()), 30)
    assert not any(task.done() for task in (first, *others))
    broker.go_on.set()
    await asyncio.gather(first, *others)
    assert broker.changes == [{NAMES[0]}, set(NAMES[1:])]
    kept = secrets.load(tmp_path)
    assert kept is not None
    assert all(tenant.suspended for tenant in kept.tenants.values())
