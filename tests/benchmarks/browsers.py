"""What a webjs session costs: seconds to pair and to open again, and memory, each browser by its share.

PYTHONPATH=shared:services:. python -m tests.benchmarks.browsers 5
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from pywhatsweb_fleet.session_worker.engines.sidecar import SidecarEngine
from tests.contract.engines.host import RecordingHost
from tests.contract.engines.worlds import World, new_number, paired, sandbox_world, text


class Figures(msgspec.Struct, frozen=True):
    """Medians of so many sessions; megabytes are PSS (what is shared counts by its share)."""

    sessions: int
    pair_s: float
    open_s: float
    send_s: float
    browser_mb: float
    sidecar_mb: float
    processes_a_browser: float

    def __str__(self) -> str:
        return (
            f"{self.sessions} browsers: pairing {self.pair_s:.1f} s, opening {self.open_s:.1f} s, "
            f"a text and its ack {self.send_s * 1000:.0f} ms; {self.browser_mb:.0f} MB and "
            f"{self.processes_a_browser:.0f} processes a browser, {self.sidecar_mb:.0f} MB the sidecar"
        )


class _Host(RecordingHost):
    patience_s = 300.0


async def measure(sessions: int) -> Figures:
    """One after the other, all open at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with sandbox_world(Path(folder), "webjs") as world:
            await world.engine.start()
            world.engine.lease(3_600_000)
            try:
                return await _measure(world, sessions)
            finally:
                await world.engine.stop()


async def _measure(world: World, sessions: int) -> Figures:
    pairing, opening, sending = [], [], []
    for number in range(sessions):
        name = f"t/s{number}"
        began = time.monotonic()
        host = await paired(world, name, new_number(), _Host())
        pairing.append(time.monotonic() - began)
        assert host.link is not None
        await host.link.close("stop")
        again = _Host(host.record)
        began = time.monotonic()
        await again.open(world.engine, name, 2, settings=world.settings)
        await again.until("open")
        opening.append(time.monotonic() - began)
        assert again.link is not None
        began = time.monotonic()
        await again.link.act(text(number))
        sending.append(time.monotonic() - began)
    assert isinstance(world.engine, SidecarEngine)
    sidecar = psutil.Process(world.engine.pid)
    helpers = sidecar.children(recursive=True)
    return Figures(
        sessions=sessions,
        pair_s=statistics.median(pairing),
        open_s=statistics.median(opening),
        send_s=statistics.median(sending),
        browser_mb=sum(map(_megabytes, helpers)) / sessions,
        sidecar_mb=_megabytes(sidecar),
        processes_a_browser=len(helpers) / sessions,
    )


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 2**20
    except psutil.Error:
        return 0.0


if __name__ == "__main__":
    print(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
