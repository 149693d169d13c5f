"""Many simulated sessions on one worker: time until all are WORKING, memory, and what idleness costs.

    PYTHONPATH=shared:services:. python tests/benchmarks/sessions.py [--sessions 10000] [--tenants 10]

The worker and the broker (which flushes always) are real processes. Memory is resident; a session's is the slope from
the first tenth to all. 100 links a second are opened, two a session: a pairing ends with a new link, as at WhatsApp.
Paired Baileys sessions are measured by baileys.py.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

from tests.benchmarks import rig

IDLE_S = 15.0


async def run(tenants: int, sessions: int) -> None:
    with rig.rig() as made:
        worker = made.start("session_worker", PWW_ENGINES="simulated", PWW_CONNECTS_PER_SECOND="100")
        empty = rig.rss_mb([worker])
        async with rig.bus_of(made) as bus:
            names = await rig.make_tenants(bus, tenants)
            keys: list[tuple[str, str]] = [
                (tenant, f"s{number}") for number in range(sessions // tenants) for tenant in names
            ]
            some = len(keys) // 10
            settings = {"simulated": {"pair_after_ms": 0}}
            await rig.make_sessions(bus, keys[:some], settings, timeout=900)
            first = rig.rss_mb([worker])
            before = rig.cpu_s([worker])
            took = await rig.make_sessions(bus, keys[some:], settings, timeout=900, expected=keys)
            spent = rig.cpu_s([worker]) - before
            await asyncio.sleep(3)
            full = rig.rss_mb([worker])
            idle = {name: rig.cpu_s([pid]) for name, pid in made.pids.items()}
            await asyncio.sleep(IDLE_S)
            idle = {name: (rig.cpu_s([pid]) - idle[name]) / IDLE_S * 100 for name, pid in made.pids.items()}
            broker = rig.rss_mb([made.broker.pid])
            flushes = rig.fsync_ms(made.directory)
    more = len(keys) - some
    rig.table(
        f"sessions: {len(keys)} simulated ones of {tenants} tenants on one worker",
        [
            ("fsync p50", f"{statistics.median(flushes):.2f} ms"),
            (
                f"until {more} more are WORKING",
                f"{took:.0f} s: {more / took:.0f}/s, {spent / more * 1e3:.2f} ms of CPU each",
            ),
            ("worker, empty / full", f"{empty:.0f} / {full:.0f} MB"),
            ("worker, a session", f"{(full - first) / more * 1024:.1f} KB"),
            ("broker, full", f"{broker:.0f} MB"),
            *((f"idle CPU, {name}", f"{share:.1f} %") for name, share in idle.items()),
        ],
    )


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=10)
    given = parser.parse_args()
    uvloop.run(run(given.tenants, given.sessions))


if __name__ == "__main__":
    main()
