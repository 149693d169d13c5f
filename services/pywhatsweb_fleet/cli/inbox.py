"""``pww inbox …``: several sessions under one name. ``pww send --session @support`` sends to it."""

from __future__ import annotations

from typing import Any, Literal

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.once import ask
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(
    name="inbox",
    help="Put several sessions under one name that is sent to; each person keeps the session that they get.",
    result_action="return_value",
)


@app.command(name="set")
def set_(
    name: str,
    /,
    *sessions: str,
    spread: Literal["least_contacts", "first_working"] = "least_contacts",
    failover: Literal["never", "banned", "stopped"] = "banned",
    cooldown: int = 600,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Make an inbox, or replace its settings; people stay with the sessions that they have.

    Parameters
    ----------
    name
        It begins with @, as no session's does: @support.
    sessions
        Those that are behind it.
    spread
        Who gets somebody new: the session with the fewest people, or the first of the list that works.
    failover
        When people go on with another session: never, once theirs is banned, or also once it has stopped.
    cooldown
        For how many seconds a session must not have worked to count as stopped.
    by
        Who does it.
    """
    found = ask(
        where, "inbox.set", inbox_id=name, sessions=[*sessions], spread=spread, failover=failover,
        cooldown_s=cooldown, by=by,
    )  # fmt: skip
    return _tell(found, form)


@app.command(name="list")
def list_(*, where: Connection = None, form: Answer = "human") -> int:
    """List the tenant's inboxes."""
    found = ask(where, "inbox.list")["inboxes"]
    show.listing(
        form, found, "No inboxes.", ("INBOX", "PEOPLE", "SPREAD", "FAILOVER"),
        lambda one: (one["inbox_id"], _people(one), one["spread"], one["failover"]),
    )  # fmt: skip
    return exits.OK


@app.command(name="show")
def show_(name: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Show an inbox, and how many people each session has."""
    return _tell(ask(where, "inbox.get", inbox_id=name), form)


@app.command
def delete(name: str, /, *, by: str | None = None, where: Connection = None, form: Answer = "human") -> int:
    """Forget an inbox, and who belongs to which of its sessions; the sessions stay.

    Parameters
    ----------
    by
        Who does it.
    """
    found = ask(where, "inbox.delete", inbox_id=name, by=by)
    if form == "json":
        show.json_line(found)
    else:
        print(f"{found['inbox_id']} is forgotten.")
    return exits.OK


def _people(one: dict[str, Any]) -> str:
    """Of each session; those that left the inbox come last, in brackets."""
    counts: dict[str, int] = one["contacts"]
    former = [f"({name} {count})" for name, count in sorted(counts.items()) if name not in one["sessions"]]
    return ", ".join([*(f"{name} {counts.get(name, 0)}" for name in one["sessions"]), *former])


def _tell(one: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(one)
        return exits.OK
    show.pairs(
        {
            "inbox": one["inbox_id"],
            "people": _people(one),
            "spread": one["spread"],
            "failover": one["failover"],
            "cooldown": f"{one['cooldown_s']} s",
            "changed": one["changed_at"],
            "by": one["changed_by"],
        }
    )
    return exits.OK
