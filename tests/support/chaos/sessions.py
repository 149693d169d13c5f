"""A run's sessions: linked for the first time, or found again WORKING after a start."""

from __future__ import annotations

import asyncio
from typing import Any

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.subjects import now
from pywhatsweb_runtime import registry
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.kv import Bucket
from tests.support.chaos.ground import Ground
from tests.support.chaos.plan import Account
from tests.support.running import Sandbox, pair, plain
from tests.support.waiting import wait_until

SIMULATED: dict[str, Any] = {
    "pair_after_ms": 0,
    "echo_ms": 300,
    "key_writes": True,
    "ack_ms": 5,
    "random": {"seed": 1, "close_after": 0.002, "close_before": 0.002, "duplicate": 0.05},
}


async def start(ground: Ground) -> None:
    """Every session up to WORKING."""
    if ground.whatsapp is None:
        await _start_simulated(ground)
        return
    async with ground.http() as http:
        for tenant in sorted({tenant for tenant, _ in ground.plan.accounts}):
            numbers = {name: number for (of, name), number in ground.plan.accounts.items() if of == tenant}
            async with plain(ground.fleet, tenant) as program:
                for some in range(0, len(numbers), 4):
                    await asyncio.gather(
                        *(
                            pair(program, Sandbox(http), name, numbers[name])
                            for name in list(numbers)[some : some + 4]
                        )
                    )


async def again(ground: Ground, timeout: float = 120) -> None:
    """Waits until every session that was linked before is WORKING under a worker of this start."""
    if ground.whatsapp is None:
        await _start_simulated(ground)
        return
    async with ground.http() as http:

        async def all_connected() -> bool:
            counts = (await http.get("/api/state")).json()["counts"]
            return bool(counts["online"] >= len(ground.plan.accounts))

        await wait_until(all_connected, timeout, interval=0.2, message="all are connected")
    await _all_work(ground, timeout)


async def _start_simulated(ground: Ground) -> None:
    async with ground.bus() as bus:
        bucket = Bucket(bus, streams.SESSIONS_BUCKET)
        record = registry.encode(
            registry.SessionRecord(engine="simulated", settings={"simulated": SIMULATED})
        )
        for tenant, name in ground.plan.accounts:
            await bucket.put(f"{tenant}.{name}", record)
    await _all_work(ground, 120)


async def _all_work(ground: Ground, timeout: float) -> None:
    missing = list(ground.plan.accounts)
    async with ground.bus() as bus:

        async def none_missing() -> bool:
            missing[:] = [at for at in missing if not await _works(bus, at)]
            return not missing

        await wait_until(none_missing, timeout, interval=0.2, message="all are WORKING")


async def _works(bus: Bus, account: Account) -> bool:
    tenant, session = TenantId(account[0]), SessionId(account[1])
    stored = await bus.last(streams.events_name(tenant), now(tenant, session))
    return stored is not None and registry.decode_now(stored.data).status == "WORKING"
