"""What the engines' processes cost, for the metrics: memory, processor time, credit in use, lateness."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import psutil

from pywhatsweb_fleet.session_worker.engines.sidecar import SidecarEngine
from pywhatsweb_runtime.metrics import Metrics

EVERY_S: Final = 10.0
"""As often as sidecars tell their part."""


async def watch(engines: Iterable[SidecarEngine], metrics: Metrics) -> None:
    """Runs beside the service."""
    while True:
        for engine in engines:
            tell(engine, metrics)
        await asyncio.sleep(EVERY_S)


def tell(engine: SidecarEngine, metrics: Metrics) -> None:
    """The sidecar with whatever it has started (browsers, of some engines); one that is down costs nothing."""
    memory, seconds = _cost(engine.pid)
    metrics.engine_memory.labels(engine.name).set(memory)
    metrics.engine_cpu.labels(engine.name).set(seconds)
    stats = engine.stats if engine.pid is not None else None
    sessions = list(stats.sessions.values()) if stats is not None else []
    metrics.engine_lag.labels(engine.name).set(stats.loop_lag_ms / 1000 if stats is not None else 0)
    metrics.engine_sessions.labels(engine.name).set(len(sessions))
    metrics.engine_uncommitted.labels(engine.name).set(sum(one.get("uncommitted", 0) for one in sessions))
    metrics.engine_held.labels(engine.name).set(sum(one.get("held_frames", 0) for one in sessions))


def _cost(pid: int | None) -> tuple[int, float]:
    """Bytes and seconds of a process and its descendants."""
    if pid is None:
        return 0, 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0.0
    memory, seconds = 0, 0.0
    for process in family:
        try:
            with process.oneshot():
                memory += process.memory_info().rss
                times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system
    return memory, seconds
