"""``pww label …``: the labels of a session's WhatsApp Business account."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.marking import OfSession, To
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(
    name="label", help="See and change an account's labels, and what has them.", result_action="return_value"
)

Which = Annotated[str, Parameter(help="Its number, as `list` shows it.")]
Color = Annotated[int | None, Parameter(help="One of WhatsApp's twenty, 0 to 19.")]
OfMessage = Annotated[str | None, Parameter(help="Only of this message of the chat.")]


@app.command(name="list")
def list_(*, session: OfSession, where: Connection = None, form: Answer = "human") -> int:
    """Show the account's labels."""
    found = ask_live(where, "label.list", session_id=session)["labels"]
    if form == "json":
        for one in found:
            show.json_line(one)
    else:
        rows = (
            (one["label_id"], one["name"], "" if one["color"] is None else str(one["color"])) for one in found
        )
        show.table(("ID", "NAME", "COLOR"), rows)
    return exits.OK


@app.command
def create(
    name: str,
    /,
    *,
    session: OfSession,
    color: Color = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Make a label."""
    return _tell(ask_live(where, "label.put", session_id=session, name=name, color=color), form)


@app.command
def change(
    label: Which,
    /,
    *,
    session: OfSession,
    name: str | None = None,
    color: Color = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Give a label another name or colour."""
    told = ask_live(where, "label.put", session_id=session, label_id=label, name=name, color=color)
    return _tell(told, form)


@app.command
def delete(label: Which, /, *, session: OfSession, where: Connection = None) -> int:
    """Delete a label."""
    return _act(where, "label.delete", session_id=session, label_id=label)


@app.command
def add(
    label: Which, to: To, /, *, session: OfSession, message: OfMessage = None, where: Connection = None
) -> int:
    """Put a label on a chat, or on one message of it."""
    return _act(where, "label.add", session_id=session, label_id=label, to=to, message_id=message)


@app.command
def remove(
    label: Which, to: To, /, *, session: OfSession, message: OfMessage = None, where: Connection = None
) -> int:
    """Take a label from a chat, or from one message of it."""
    return _act(where, "label.remove", session_id=session, label_id=label, to=to, message_id=message)


def _tell(label: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(label)
    else:
        show.pairs(label)
    return exits.OK


def _act(where: Connection, verb: str, **arguments: Any) -> int:
    ask_live(where, verb, **arguments)
    print("Done.")
    return exits.OK
