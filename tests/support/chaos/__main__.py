"""Runs of many seeds.

python -m tests.support.chaos --seeds 1-50 --seconds 60 --store postgres --results results.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import structlog

from tests.support.chaos.plan import SHAPES, Plan
from tests.support.chaos.run import Report, prepare, run

ASKED = ("seconds", "tenants", "sessions", "workers", "rate", "inbound", "every", "kinds", "settle_s")


def seeds(words: str) -> list[int]:
    """Of ``1-3,7``."""
    found: list[int] = []
    for part in words.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def plan_of(options: argparse.Namespace) -> Plan:
    plan = SHAPES[options.engine](0, options.seconds, options.store)
    asked: dict[str, Any] = {name: getattr(options, name) for name in ASKED}
    lists = {name: tuple(value) for name, value in asked.items() if isinstance(value, list)}
    return plan._replace(**{name: value for name, value in (asked | lists).items() if value is not None})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.chaos")
    parser.add_argument("--seeds", type=seeds, default=[1], help="1-50, or 3,7")
    parser.add_argument("--engine", choices=tuple(SHAPES), default="baileys")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=60)
    for name, kind in (("tenants", int), ("sessions", int), ("workers", int), ("rate", float)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--inbound", type=float)
    parser.add_argument("--settle-s", type=float)
    parser.add_argument("--every", type=float, nargs=2)
    parser.add_argument("--kinds", nargs="*", help="kill, freeze, net … or kill:session_worker …")
    parser.add_argument("--keep", type=Path, help="where the data of runs that failed stays")
    parser.add_argument("--results", type=Path, help="a file to which each run adds a line of JSON")
    options = parser.parse_args()
    # Our own connection to the broker is lost as often as everybody's.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    plan = plan_of(options)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        base = Path(temporary)
        template = base / "template"
        if plan.engine != "simulated":
            asyncio.run(prepare(plan, base / "first", template))
            shutil.rmtree(base / "first", ignore_errors=True)
        for seed in options.seeds:
            directory = base / f"{plan.store}-{seed}"
            report = _one(plan._replace(seed=seed), directory, template if template.exists() else None)
            bad += report is None or not report.well
            if report is not None and options.results:
                report.note(options.results)
            if options.keep and (report is None or not report.well):
                shutil.move(directory, options.keep / directory.name)
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if bad else 0


def _one(plan: Plan, directory: Path, template: Path | None) -> Report | None:
    try:
        report = asyncio.run(run(plan, directory, template))
    except Exception:  # noqa: BLE001 - the next seed may do better
        sys.stdout.write(f"seed {plan.seed} on {plan.store}: broke off\n{traceback.format_exc()}\n")
        report = None
    else:
        sys.stdout.write(f"{report}\n")
    sys.stdout.flush()
    return report


if __name__ == "__main__":
    sys.exit(main())
