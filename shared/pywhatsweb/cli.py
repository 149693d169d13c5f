"""``python -m pywhatsweb.cli``: the command ``pww``, which the extra ``fleet`` (or ``cli``) brings."""

from __future__ import annotations

import importlib
import sys

NOT_INSTALLED = 3
"""The exit code without the extra, which is also that of a fleet that cannot be reached."""


def main() -> int:
    """The command line's exit code."""
    try:
        command = importlib.import_module("pywhatsweb_fleet.cli.main")
    except ModuleNotFoundError as error:
        print(f"pww: {error.name} is not installed.", file=sys.stderr)  # noqa: T201 - a command's
        print("     pip install 'pywhatsweb[cli]'", file=sys.stderr)  # noqa: T201
        return NOT_INSTALLED
    code: int = command.run(sys.argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
