"""Run every check that needs no running system: one line each, and the whole output of those that fail."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
SIDECAR = ROOT / "sidecar-node"
MODULES = SIDECAR / "node_modules" / ".bin"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    command: tuple[str | Path, ...]
    directory: Path = ROOT
    # Shows its output also when it passes: a report, not a verdict.
    report: bool = False


CHECKS = (
    Check("mypy --strict", (BIN / "mypy", "--no-error-summary")),
    Check("ruff format", (BIN / "ruff", "format", "--check", "--output-format=concise", ".")),
    Check("ruff check", (BIN / "ruff", "check", "--quiet", ".")),
    Check("import-linter", (BIN / "lint-imports", "--no-logo")),
    Check("tsc --noEmit", (MODULES / "tsc", "--noEmit"), SIDECAR),
    Check(
        "biome check",
        (MODULES / "biome", "check", "--diagnostic-level=warn", "--max-diagnostics=30"),
        SIDECAR,
    ),
    Check("hygiene", (sys.executable, ROOT / "tools" / "hygiene.py"), report=True),
)


def main() -> int:
    """Run the checks, two at a time; 0 when all pass."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        failures = sum(not passed for passed in pool.map(perform, CHECKS))
    print(f"check: {failures} of {len(CHECKS)} checks failed" if failures else "check: all checks passed")
    return 1 if failures else 0


def perform(check: Check) -> bool:
    started = time.monotonic()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    done = subprocess.run(
        check.command,
        cwd=check.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    passed = done.returncode == 0
    line = f"{'ok  ' if passed else 'FAIL'} {check.name} ({time.monotonic() - started:.1f} s)\n"
    # One write a check, so that two that end together do not mix their lines.
    sys.stdout.write(line + (done.stdout if check.report or not passed else ""))
    sys.stdout.flush()
    return passed


if __name__ == "__main__":
    sys.exit(main())
