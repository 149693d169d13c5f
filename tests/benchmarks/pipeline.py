"""Command → `sent` event through the real processes with the simulated engine, beside the bare pipeline.

    PYTHONPATH=shared:services:. python tests/benchmarks/pipeline.py [--tenants 1 --sessions 40] [--commands 4000]

Without arguments: 1 tenant x 40 sessions and 100 tenants x 10 sessions. nats-server flushes always; the dispatcher and
the worker are processes of their own. The fleet stores seven messages a command (command, queue, five events), the bare
pipeline three, from one process. Aims: 0.7 of the bare rate, p50 under 5 ms at 50 commands a second.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import msgspec
from nats.aio.msg import Msg

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import publishing
from tests.benchmarks import bare, rig

REPEATS = 3
SETTINGS = {"simulated": {"pair_after_ms": 0, "delivered_ms": 5, "read_ms": 10}}


class _Data(msgspec.Struct):
    command_id: str | None = None
    status: str = ""


class _Event(msgspec.Struct):
    data: _Data


_decode = msgspec.msgpack.Decoder(_Event).decode


class Fleet:
    """A tenant's program: publishes commands and watches statuses."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.sent: dict[str, float] = {}
        self.statuses: dict[str, int] = {}
        self._runs = 0

    async def watch(self) -> None:
        await self._bus.client.subscribe("wa.evt.*.*.status.*", cb=self._on_status, pending_msgs_limit=-1)
        await self._bus.client.flush()

    async def _on_status(self, message: Msg) -> None:
        data = _decode(message.data).data
        self.statuses[data.status] = self.statuses.get(data.status, 0) + 1
        if data.status == "sent" and data.command_id is not None:
            self.sent[data.command_id] = time.perf_counter()

    async def measure(
        self, sessions: list[tuple[str, str]], count: int, rate: float | None
    ) -> tuple[float, float, list[float]]:
        """Commands a second until `sent`, until all five events are stored, and milliseconds each until `sent`."""
        self._runs += 1
        self.sent.clear()
        self.statuses.clear()
        published: dict[str, float] = {}
        async with publishing(self._bus, in_flight=1024, deadline_s=60) as publisher:
            began = time.perf_counter()
            for number in range(count):
                tenant, session = sessions[number % len(sessions)]
                name = f"r{self._runs}-{number}"
                body = {"id": name, "to": "+5511999990001", "type": "text", "text": {"body": "x" * 130}}
                published[name] = time.perf_counter()
                subject = subjects.command(TenantId(tenant), SessionId(session))
                await publisher.submit(subject, msgspec.msgpack.encode(body), {"Nats-Msg-Id": name})
                if rate:
                    await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.perf_counter()))
            await self._until(lambda: len(self.sent) == count)
            took = max(self.sent.values()) - began
            await self._until(lambda: self.statuses.get("read", 0) == count)
            everything = time.perf_counter() - began
        return (
            count / took,
            count / everything,
            [(self.sent[name] - at) * 1e3 for name, at in published.items()],
        )

    async def _until(self, done: object) -> None:
        deadline = time.perf_counter() + 120
        while not done():  # type: ignore[operator]
            assert time.perf_counter() < deadline, f"not all came back: {self.statuses}"
            await asyncio.sleep(0.002)


async def run(tenants: int, sessions: int, count: int, *, per_second: float = 50) -> None:
    with rig.rig() as made:
        made.start("dispatcher")
        made.start("session_worker", PWW_ENGINES="simulated", PWW_CONNECTS_PER_SECOND="0")
        async with rig.bus_of(made) as bus:
            names = await rig.make_tenants(bus, tenants)
            keys: list[tuple[str, str]] = [
                (tenant, f"s{number}") for number in range(sessions) for tenant in names
            ]
            await rig.make_sessions(bus, keys, SETTINGS)
            fleet = Fleet(bus)
            await fleet.watch()
            await fleet.measure(keys, len(keys), None)  # warm: every queue has been read once
            flat = [f"s{number}" for number in range(len(keys))]
            rates, alls, bares, spent = [], [], [], []
            for _ in range(REPEATS):
                bares.append((await bare.measure(bus, flat, count, None))[0])
                before = {name: rig.cpu_s([pid]) for name, pid in made.pids.items()}
                rate, everything, _times = await fleet.measure(keys, count, None)
                spent.append(
                    {name: (rig.cpu_s([pid]) - before[name]) / count * 1e6 for name, pid in made.pids.items()}
                )
                rates.append(rate)
                alls.append(everything)
            _, bare_times = await bare.measure(bus, flat, int(6 * per_second), per_second)
            _, _, times = await fleet.measure(keys, int(6 * per_second), per_second)
            rows = await rig.floor(made, bus)
    ratio = statistics.median(a / b for a, b in zip(rates, bares, strict=True))
    rows += [
        ("bare pipeline, saturated", f"{statistics.median(bares):.0f}/s   {_list(bares)}"),
        ("fleet, saturated, until sent", f"{statistics.median(rates):.0f}/s   {_list(rates)}"),
        ("fleet, saturated, until all five events", f"{statistics.median(alls):.0f}/s   {_list(alls)}"),
        ("fleet / bare", f"{ratio:.2f}   (aim 0.7)"),
        (
            "bare at 50/s, p50 / p99",
            f"{statistics.median(bare_times):.1f} / {rig.percentile(bare_times, 0.99):.1f} ms",
        ),
        (
            "fleet at 50/s, p50 / p99",
            f"{statistics.median(times):.1f} / {rig.percentile(times, 0.99):.1f} ms (aim p50 < 5)",
        ),
        *(
            (f"CPU a command, {name}", f"{statistics.median(one[name] for one in spent):.0f} µs")
            for name in made.pids
        ),
    ]
    rig.table(f"pipeline: {tenants} tenants x {sessions} sessions, {count} commands, {REPEATS} times", rows)


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--commands", type=int, default=4000)
    given = parser.parse_args()
    for tenants, sessions in [(given.tenants, given.sessions)] if given.tenants else [(1, 40), (100, 10)]:
        uvloop.run(run(tenants, sessions, given.commands))


if __name__ == "__main__":
    main()
