"""What a run of the attack is: how large, how long, on what, and which faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

CONTACTS = [f"+55119888{number:05d}" for number in range(6)]

Engine = Literal["baileys", "simulated", "webjs"]
Store = Literal["sqlite", "postgres"]

Account = tuple[str, str]
"""Tenant and session."""


class Plan(NamedTuple):
    seed: int
    seconds: float = 20
    engine: Engine = "baileys"
    store: Store = "sqlite"
    tenants: int = 2
    sessions: int = 3
    """Of each tenant."""
    workers: int = 2
    rate: float = 2.0
    """Sends a second and session."""
    inbound: float = 5.0
    """Inbound messages a second, in all (the simulated engine echoes what it sends instead)."""
    every: tuple[float, float] = (2.0, 5.0)
    """Seconds between two blows, from and to."""
    kinds: tuple[str, ...] | None = None
    """Names of faults, or what stands before their colon (``kill``); None: whatever the ground allows."""
    settle_s: float = 90.0

    @property
    def accounts(self) -> dict[Account, str]:
        """Every session, and how WhatsApp knows it: by its number, a simulated one by its name."""
        return {
            (f"t{tenant}", f"s{session}"): f"t{tenant}/s{session}"
            if self.engine == "simulated"
            else f"+55119{70_000_000 + 1000 * tenant + session}"
            for tenant in range(self.tenants)
            for session in range(self.sessions)
        }

    def allows(self, fault: str) -> bool:
        return self.kinds is None or fault in self.kinds or fault.partition(":")[0] in self.kinds


def thirty_on_baileys(seed: int, seconds: float, store: Store) -> Plan:
    """Three tenants of ten sessions on the real Baileys."""
    return Plan(
        seed, seconds, store=store, tenants=3, sessions=10, rate=0.5, inbound=6, every=(1.5, 4), settle_s=120
    )


def thousand_simulated(seed: int, seconds: float, store: Store) -> Plan:
    """Four tenants of 250 sessions on the simulated engine."""
    return Plan(
        seed, seconds, "simulated", store, tenants=4, sessions=250, rate=0.04, every=(1.5, 4), settle_s=120
    )


def four_in_browsers(seed: int, seconds: float, store: Store) -> Plan:
    """Two tenants of two sessions on the real whatsapp-web.js, each in a Chromium of its own."""
    return Plan(
        seed,
        seconds,
        "webjs",
        store,
        tenants=2,
        sessions=2,
        rate=0.5,
        inbound=2,
        every=(2.5, 6),
        settle_s=180,
    )


SHAPES: dict[Engine, Callable[[int, float, Store], Plan]] = {
    "baileys": thirty_on_baileys,
    "simulated": thousand_simulated,
    "webjs": four_in_browsers,
}
"""The usual plan of each engine, by seed, seconds and store."""
