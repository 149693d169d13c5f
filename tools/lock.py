"""Remake requirements/*.txt from pyproject.toml: exact versions with hashes, and no registry address.

make lock                       keep the pins that still fit
make lock ARGS=--upgrade        take the newest versions
make lock ARGS="-P msgspec"     take the newest of one package
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")

FLEET = ("pyproject.toml", "--extra", "fleet", "--extra", "tracing")

# A file a purpose: what a production image installs and is built with, what a developer installs, what starts both.
LOCKS: dict[str, list[str]] = {
    "fleet": [*FLEET],
    "dev": [*FLEET, "--extra", "dev", "-c", "requirements/fleet.txt", "-c", "requirements/node.txt"],
    "build": ["--group", "build", "-c", "requirements/dev.txt"],
    "ffmpeg": ["--group", "ffmpeg"],
    "sbom": ["--group", "sbom"],
    "node": ["--group", "node"],
    "uv": ["--group", "uv"],
}


def main() -> int:
    """Compile every lock with the arguments given, if any, passed on to uv."""
    for name, sources in LOCKS.items():
        output = f"requirements/{name}.txt"
        command = [
            str(UV), "pip", "compile", *sources, "--quiet", "--universal", "--python-version", "3.11",
            "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links",
            "--custom-compile-command", "make lock", "--output-file", output, *sys.argv[1:],
        ]  # fmt: skip
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            print(f"lock: {output} could not be made.", file=sys.stderr)
            return 1
        pins = sum("==" in line for line in (ROOT / output).read_text().splitlines())
        print(f"lock: {output}: {pins} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
