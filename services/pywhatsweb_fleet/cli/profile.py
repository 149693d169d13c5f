"""``pww profile …``: what a session's account shows of itself: name, about text and picture."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(
    name="profile", help="See and change what an account shows of itself.", result_action="return_value"
)

OfSession = Annotated[str, Parameter(help="Whose account.")]


@app.command(name="show")
def show_(*, session: OfSession, where: Connection = None, form: Answer = "human") -> int:
    """Show its number, name, about text, and where its picture is."""
    found = ask_live(where, "profile.get", session_id=session)
    if form == "json":
        show.json_line(found)
    else:
        show.pairs({**found.pop("person"), **found})
    return exits.OK


@app.command
def name(name: str, /, *, session: OfSession, where: Connection = None) -> int:
    """Change the name that people see who have not saved the number.

    Parameters
    ----------
    name
        At most 25 characters.
    """
    return _change(where, "profile.name", session, name=name)


@app.command
def about(text: str, /, *, session: OfSession, where: Connection = None) -> int:
    """Change the about text.

    Parameters
    ----------
    text
        At most 139 characters; empty: none.
    """
    return _change(where, "profile.about", session, about=text)


@app.command
def picture(
    file: Path | None = None,
    /,
    *,
    session: OfSession,
    remove: Annotated[bool, Parameter(negative="")] = False,
    where: Connection = None,
) -> int:
    """Change the picture, or remove it.

    Parameters
    ----------
    file
        An image of at most 512 KB; its middle is shown.
    remove
        There is none any more.
    """
    if (file is None) is not remove:
        raise exits.CommandError("name a file, or say --remove.", exit_code=exits.USAGE)
    return _change(where, "profile.picture", session, data=_bytes(file) if file is not None else None)


def _bytes(file: Path) -> str:
    try:
        return base64.b64encode(file.read_bytes()).decode()
    except OSError as error:
        raise exits.CommandError(f"{file} cannot be read: {error.strerror}.", exit_code=exits.USAGE) from None


def _change(where: Connection, verb: str, session: str, **change: object) -> int:
    ask_live(where, verb, nulls=("data",), session_id=session, **change)
    print("Changed.")
    return exits.OK
