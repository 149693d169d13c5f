"""``pww``: what it can do, and how it ends. Commands are imported when they run, so that it starts at once."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError

from pywhatsweb_fleet.cli import exits

app = App(
    name="pww",
    help="Run PyWhatsWeb fleet, and talk to one that runs.",
    help_format="plaintext",
    version_flags=[],
    result_action="return_value",
)

_HERE = "pywhatsweb_fleet.cli"
_COMMANDS = {
    "up": "fleet:up",
    "run": "fleet:run",
    "sandbox": "fleet:sandbox",
    "version": "version:version",
}
for _name, _path in _COMMANDS.items():
    app.command(f"{_HERE}.{_path}", name=_name)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command line; its exit code."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"pww: {_first_line(error)}", file=sys.stderr)
        print("Try: pww --help", file=sys.stderr)
        return exits.USAGE
    except exits.CommandError as error:
        _tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone. Nothing more can be said to it, not even at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    return result if isinstance(result, int) else exits.OK


def _first_line(error: CycloptsError) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), "the command line does not fit"
    )


def _tell(error: exits.CommandError) -> None:
    print(f"pww: {error.sentence}", file=sys.stderr)
    if error.action:
        print(f"     {error.action}", file=sys.stderr)
