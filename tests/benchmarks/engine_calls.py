"""What one send costs the worker's process in each engine: `python -m tests.benchmarks.engine_calls`.

CPU of this process only, a send, at 64 in flight: the caller's future, the frame out and in (or the simulated
WhatsApp's work), units and their commits. The floor is the same loop with a coroutine that only yields. Aim for frames
and bookkeeping: 25 µs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pywhatsweb_fleet.session_worker.engines.port import Action, Engine, OpenSpec, Pairing, Recipient
from pywhatsweb_fleet.session_worker.engines.sidecar import Config, Launch, SidecarEngine
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import FrameDecoder, FrameEncoder, check_sendable
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import Act
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from tests.benchmarks.simulated_memory import Host
from tests.contract.make_golden_frames import FOLDER

SENDS = 30_000
IN_FLIGHT = 64
AIM_US = 25
FAKE = Path(__file__).resolve().parents[1] / "support" / "fake_sidecar.py"
CONTENT = {"type": "text", "text": {"body": "Your order 1042 was paid. Thank you!"}}
TO = Recipient(pn="+5511988887777")


def action(number: int) -> Action:
    return Action("send", f"3EB0{number:018X}", TO, CONTENT)


async def in_flight(call: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """CPU and wall microseconds a call."""
    numbers = iter(range(SENDS))

    async def one() -> None:
        for number in numbers:
            await call(number)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    return (time.process_time() - cpu) / SENDS * 1e6, (time.perf_counter() - wall) / SENDS * 1e6


async def of_engine(engine: Engine, session: str, creds: bytes | None) -> tuple[float, float]:
    await engine.start()
    engine.lease(600_000)
    host = Host()
    host.creds = creds
    while host.now != "open":
        if host.now in ("", "closed"):
            host.link = await engine.open(OpenSpec(session, 1, host.creds, Pairing(), {}), host)
        await asyncio.sleep(0.01)
    link = host.link
    if link is None:
        raise RuntimeError("not open")
    figures = await in_flight(lambda number: link.act(action(number)))
    await engine.stop()
    return figures


def frame_costs() -> tuple[float, float]:
    """Microseconds to check and encode an act, and to decode a result."""
    encoder, decoder = FrameEncoder(), FrameDecoder()
    began = time.perf_counter()
    for ref in range(SENDS):
        check_sendable(CONTENT)
        encoder.add(
            Act(session="acme/s1", incarnation=1, ref=ref, action="send", id="3EB0", content=CONTENT, to=TO)
        )
        if len(encoder) > 60_000:
            encoder.take()
    out = time.perf_counter() - began
    batch = (FOLDER / "sidecar.result.frame").read_bytes() * 100
    began = time.perf_counter()
    for _ in range(SENDS // 100):
        for _frame in decoder.feed(batch):
            pass
    return out / SENDS * 1e6, (time.perf_counter() - began) / SENDS * 1e6


async def measure() -> None:
    async def nothing(_number: int) -> None:
        await asyncio.sleep(0)

    floor, _ = await in_flight(nothing)
    print(f"floor, a coroutine that yields once:      {floor:6.1f} µs CPU")
    out, back = frame_costs()
    print(f"frames alone: check and encode an act {out:.1f} µs, decode a result {back:.1f} µs (aim {AIM_US})")
    launch = Launch(command=(sys.executable, str(FAKE), "good"))
    sidecar = SidecarEngine("baileys", launch=launch, config=Config(), worker="bench")
    cpu, wall = await of_engine(sidecar, "acme/s1", b"creds")
    print(f"sidecar client, Python echo behind it:    {cpu:6.1f} µs CPU, {wall:6.1f} µs wall")
    quiet = {"pair_after_ms": 0, "delivered_ms": None, "read_ms": None}
    cpu, wall = await of_engine(SimulatedEngine(defaults=quiet), "acme/s1", None)
    print(f"simulated, no statuses:                   {cpu:6.1f} µs CPU, {wall:6.1f} µs wall")
    cpu, wall = await of_engine(SimulatedEngine(defaults={"pair_after_ms": 0}), "acme/s1", None)
    print(f"simulated, delivered and read committed:  {cpu:6.1f} µs CPU, {wall:6.1f} µs wall")


if __name__ == "__main__":
    asyncio.run(measure())
