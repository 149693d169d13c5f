"""What metrics, log fields and (off) traces cost a command: the same fleet twice, once with all of it taken out.

    PYTHONPATH=shared:services:. python tests/benchmarks/telling_cost.py [--commands 1500] [--pairs 5]

Both run side by side and are measured in turn, so what the machine does otherwise falls on both. Counted is processor
time of dispatcher and session worker a command. Metrics tell tenants and sessions apart, which is their dearest form.
Aim: at most 5 %.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from pathlib import Path

from tests.benchmarks import rig
from tests.benchmarks.pipeline import SETTINGS, Fleet

AIM = 0.05
SESSIONS = 20
_SILENT = """
import prometheus_client as p
from prometheus_client.metrics import MetricWrapperBase

for kind, names in ((p.Counter, ("inc",)), (p.Gauge, ("inc", "dec", "set")), (p.Histogram, ("observe",))):
    for name in names:
        setattr(kind, name, lambda *_a, **_k: None)
MetricWrapperBase.labels = lambda self, *_a, **_k: self

from pywhatsweb_runtime import logs, tracing


class _Nothing:
    def __init__(self, *_a, **_k):
        pass

    def __enter__(self):
        return ""

    def __exit__(self, *_a):
        pass


tracing.span = logs.about = _Nothing
"""


async def _fleet(
    stack: contextlib.AsyncExitStack, silent: Path | None
) -> tuple[rig.Rig, Fleet, list[tuple[str, str]]]:
    made = stack.enter_context(rig.rig())
    environ = {"PWW_METRICS_LABELS": "session"}
    if silent is not None:
        environ["PYTHONPATH"] = str(silent)
    made.start("dispatcher", **environ)
    made.start("session_worker", PWW_ENGINES="simulated", PWW_CONNECTS_PER_SECOND="0", **environ)
    bus = await stack.enter_async_context(rig.bus_of(made))
    (tenant,) = await rig.make_tenants(bus, 1)
    keys: list[tuple[str, str]] = [(tenant, f"s{number}") for number in range(SESSIONS)]
    await rig.make_sessions(bus, keys, SETTINGS)
    fleet = Fleet(bus)
    await fleet.watch()
    await fleet.measure(keys, 200, None)
    return made, fleet, keys


async def _cost(made: rig.Rig, fleet: Fleet, keys: list[tuple[str, str]], count: int) -> float:
    """Microseconds of processor time a command."""
    pids = [pid for name, pid in made.pids.items() if name != "nats-server"]
    before = rig.cpu_s(pids)
    await fleet.measure(keys, count, None)
    return (rig.cpu_s(pids) - before) / count * 1e6


async def measure(directory: Path, commands: int, pairs: int) -> list[tuple[float, float]]:
    """Of each pair: microseconds with everything told, and with nothing."""
    (directory / "sitecustomize.py").write_text(_SILENT)
    found = []
    async with contextlib.AsyncExitStack() as stack:
        telling = await _fleet(stack, None)
        silent = await _fleet(stack, directory)
        for number in range(pairs):
            turn = [telling, silent] if number % 2 else [silent, telling]
            spent = {id(one): await _cost(*one, commands) for one in turn}
            found.append((spent[id(telling)], spent[id(silent)]))
    return found


def show(found: list[tuple[float, float]]) -> float:
    """Prints the figures; the median ratio, less one."""
    cost = statistics.median(told / silent for told, silent in found) - 1
    rig.table(
        "what telling costs a command",
        [
            ("with everything", " ".join(f"{told:.0f}" for told, _ in found) + " µs"),
            ("with nothing", " ".join(f"{silent:.0f}" for _, silent in found) + " µs"),
            ("median of the pairs", f"{cost:+.1%} (aim {AIM:.0%})"),
        ],
    )
    return cost


def main() -> None:
    import tempfile

    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        show(uvloop.run(measure(Path(directory), given.commands, given.pairs)))


if __name__ == "__main__":
    main()
