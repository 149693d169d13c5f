"""``pww group …``: make groups, see and change them, invite and join."""

from __future__ import annotations

from typing import Any, Literal

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(
    name="group", help="Make groups, see and change them, invite and join.", result_action="return_value"
)


def _tell(group: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(group)
        return exits.OK
    people = group.pop("participants")
    owner = (group.pop("owner") or {}).get("pn")
    group.pop("chat")
    show.pairs({**group, "owner": owner})
    if people:
        show.table(("NUMBER", "LID", "ROLE"), ((one["pn"], one["lid"], one["role"]) for one in people))
    return exits.OK


@app.command(name="list")
def list_(*, session: str, limit: int = 50, where: Connection = None, form: Answer = "human") -> int:
    """List the groups that a session is in.

    Parameters
    ----------
    session
        Whose account.
    limit
        How many, at most 500.
    """
    groups = ask_live(where, "group.list", session_id=session, limit=limit)["groups"]
    columns = ("GROUP", "MEMBERS", "SUBJECT")
    show.listing(
        form, groups, "No groups.", columns, lambda one: (one["group"], str(one["size"]), one["subject"])
    )
    return exits.OK


@app.command(name="show")
def show_(group: str, /, *, session: str, where: Connection = None, form: Answer = "human") -> int:
    """Show a group and its members.

    Parameters
    ----------
    group
        Its id, as `pww group list` shows it.
    session
        Whose account.
    """
    return _tell(ask_live(where, "group.get", session_id=session, group=group), form)


@app.command
def create(
    subject: str, /, *participants: str, session: str, where: Connection = None, form: Answer = "human"
) -> int:
    """Make a group; whom WhatsApp does not let be added is not among its members.

    Parameters
    ----------
    subject
        Its name.
    participants
        Numbers.
    session
        Whose account makes it.
    """
    made = ask_live(where, "group.create", session_id=session, subject=subject, participants=[*participants])
    return _tell(made, form)


@app.command
def update(
    group: str,
    /,
    *,
    session: str,
    subject: str | None = None,
    description: str | None = None,
    announce: bool | None = None,
    locked: bool | None = None,
    approval: bool | None = None,
    member_add: Literal["admins", "all"] | None = None,
    disappearing: int | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Change a group.

    Parameters
    ----------
    group
        Its id.
    session
        Whose account.
    subject
        Its name.
    description
        Empty: none.
    announce
        Only admins send.
    locked
        Only admins change subject, description and picture.
    approval
        Who joins by the link waits for an admin.
    member_add
        Who adds members.
    disappearing
        Seconds after which messages disappear; 0: they stay.
    """
    changed = ask_live(
        where, "group.update", session_id=session, group=group, subject=subject, description=description,
        announce=announce, locked=locked, approval=approval, member_add=member_add, disappearing_s=disappearing,
    )  # fmt: skip
    return _tell(changed, form)


@app.command
def people(
    does: Literal["add", "remove", "promote", "demote", "approve", "reject"],
    group: str,
    /,
    *numbers: str,
    session: str,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Add, remove, promote or demote people, or settle their requests; the exit code tells whether all were.

    Parameters
    ----------
    does
        What to do.
    group
        Its id.
    numbers
        To whom.
    session
        Whose account does it.
    """
    if not numbers:
        raise exits.CommandError("name at least one number.", exit_code=exits.USAGE)
    told = ask_live(where, f"group.{does}", session_id=session, group=group, participants=[*numbers])
    outcomes = told["participants"]
    if form == "json":
        for one in outcomes:
            show.json_line(one)
    else:
        show.table(
            ("NUMBER", "LID", "OUTCOME"),
            (
                (one["pn"], one["lid"], "ok" if one["ok"] else f"refused ({one['reason']})")
                for one in outcomes
            ),
        )
    return exits.OK if all(one["ok"] for one in outcomes) else exits.FAILED


@app.command
def requests(group: str, /, *, session: str, where: Connection = None, form: Answer = "human") -> int:
    """List who waits to be let in.

    Parameters
    ----------
    group
        Its id.
    session
        Whose account.
    """
    waiting = ask_live(where, "group.requests", session_id=session, group=group)["requests"]
    columns = ("NUMBER", "LID", "SINCE")
    show.listing(form, waiting, "Nobody.", columns, lambda one: (one["pn"], one["lid"], one["requested_at"]))
    return exits.OK


@app.command
def invite(
    group: str,
    /,
    *,
    session: str,
    revoke: bool = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Print the invitation link.

    Parameters
    ----------
    group
        Its id.
    session
        Whose account; an admin's.
    revoke
        Make the old link void first.
    """
    found = ask_live(where, "group.revoke" if revoke else "group.invite", session_id=session, group=group)
    if form == "json":
        show.json_line(found)
    else:
        print(found["link"])
    return exits.OK


@app.command
def join(link: str, /, *, session: str, where: Connection = None, form: Answer = "human") -> int:
    """Join a group.

    Parameters
    ----------
    link
        The invitation's, or its code.
    session
        Whose account joins.
    """
    joined = ask_live(where, "group.join", session_id=session, code=link)
    if form == "json":
        show.json_line(joined)
    else:
        print(f"{joined['group']}: " + ("an admin has to approve it." if joined["pending"] else "joined."))
    return exits.OK


@app.command
def leave(group: str, /, *, session: str, where: Connection = None) -> int:
    """Leave a group.

    Parameters
    ----------
    group
        Its id.
    session
        Whose account leaves.
    """
    ask_live(where, "group.leave", session_id=session, group=group)
    print("Left.")
    return exits.OK
