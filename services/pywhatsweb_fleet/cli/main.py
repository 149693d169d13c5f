"""``pww``: what it can do, and how it ends. Commands are imported when they run, so that it starts at once."""

from __future__ import annotations

import itertools
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
# Where each is, and its line in the list: to list them imports none of them.
_COMMANDS = {
    "up": ("fleet:up", "Run the broker, every service and the local WhatsApp here."),
    "session": ("session:app", "Start, watch, stop and forget sessions."),
    "inbox": ("inbox:app", "Put several sessions under one name that is sent to."),
    "send": ("messages:send", "Send a text, and wait for what becomes of it."),
    "vote": ("messages:vote", "Vote in a poll, and wait for what becomes of it."),
    "edit": ("messages:edit", "Put another text in the place of one that was sent."),
    "delete": ("messages:delete", "Take a message, a status or a channel's post back."),
    "events": ("messages:events", "Show the tenant's events as they come."),
    "search": ("search:search", "Find messages by their words."),
    "stats": ("search:stats", "Count messages, and show how soon contacts were answered."),
    "ask": ("ask:ask", "Ask the control plane anything that it answers."),
    "template": ("template:app", "Store texts with variables, and preview them."),
    "bulk": ("bulk:app", "Send a template to many people who agreed to it."),
    "media": ("media:app", "Store files, fetch, show, list and delete them."),
    "contact": ("contact:app", "See who is on WhatsApp, and block people."),
    "consent": ("consent:app", "Keep who agreed to what, and who opted out."),
    "group": ("group:app", "Make groups, see and change them, invite and join."),
    "channel": ("channel:app", "Find, make, follow, mute and leave channels."),
    "label": ("label:app", "See and change an account's labels, and what has them."),
    "profile": ("profile:app", "See and change what an account shows of itself."),
    "chat": ("chat:app", "See the Kanban board and move its chats."),
    "deadletter": ("deadletter:app", "See what was set aside, put it back or drop it."),
    "dashboard": ("dashboard:dashboard", "Print a link that opens the dashboard, signed in."),
    "webhook": ("webhook:app", "Have events posted to HTTP servers, and see how that goes."),
    "erase": ("law:erase", "Erase a person everywhere, and print the receipt."),
    "export": ("law:export", "Fetch everything about a person, or of the tenant, as a ZIP."),
    "retention": ("law:retention", "See and set how long things are kept."),
    "audit": ("law:audit", "See who did what, and check the trail."),
    "backup": ("copies:backup", "Write an encrypted copy of a fleet into a file."),
    "restore": ("copies:restore", "Bring a fleet back from such a file, on an empty machine."),
    "tenant": ("tenant:app", "Make, change, suspend and erase tenants."),
    "health": ("health:health", "Say whether the fleet works."),
    "diag": ("diag:diag", "Look at a fleet from all sides, and say what is wrong."),
    "logs": ("logs:logs", "Show what the services here have logged."),
    "test": ("diag:test", "Check this machine and the way to a fleet."),
    "config": ("diag:config", "Show the settings that count here."),
    "run": ("fleet:run", "Run one service, with settings from the environment."),
    "sandbox": ("fleet:sandbox", "Run the local WhatsApp alone."),
    "setup": ("setup:setup", "Make the secrets and files of a fleet in containers."),
    "provision": ("setup:provision", "Bring a broker's streams up to date for every tenant."),
    "rotate-key": ("keys:rotate_key", "Seal the database's keys anew under a new master key."),
    "schema": ("schema:schema", "Print the contract: JSON Schema or AsyncAPI."),
    "completion": ("completion:completion", "Print a script that completes commands in your shell."),
    "version": ("version:version", "Say which version this is."),
}
for _order, (_name, (_path, _help)) in enumerate(_COMMANDS.items()):
    app.command(f"{_HERE}.{_path}", name=_name, help=_help, sort_key=_order)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command line; its exit code."""
    if arguments == ["--version"]:
        arguments = ["version"]
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"pww: {_first_line(error)}", file=sys.stderr)
        print("Try: pww --help", file=sys.stderr)
        return exits.USAGE
    except exits.CommandError as error:
        _tell(error, _wants_json(arguments))
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


def _wants_json(arguments: list[str]) -> bool:
    """Whether the answer was to be JSON: then a failure is, too."""
    return "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)


def _tell(error: exits.CommandError, as_json: bool) -> None:
    if as_json:
        from pywhatsweb_fleet.cli import show

        body = error.error or {"code": None, "message": error.sentence, "action": error.action}
        show.json_line({"ok": False, "error": body})
        return
    print(f"pww: {error.sentence}", file=sys.stderr)
    if error.action:
        print(f"     {error.action}", file=sys.stderr)
