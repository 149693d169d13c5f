"""``pww chat older``: has an account's phone tell what it still has of a chat."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.marking import OfSession, To
from pywhatsweb_fleet.cli.options import Answer, Connection


def add_to(app: App) -> None:
    """The command of this module, as one of `app`."""
    app.command(older)


def older(
    to: To,
    /,
    *,
    session: OfSession,
    count: int = 50,
    pages: int = 1,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Ask the account's phone for older messages of a chat; they come as events, and the record keeps them.

    Parameters
    ----------
    count
        Messages a page, at most 50.
    pages
        How often to go on from the oldest that came, while the phone has more.
    """
    before: dict[str, Any] | None = None
    for _ in range(pages):
        told = ask_live(where, "history.fetch", to=to, session_id=session, count=count, before=before)
        before = told["oldest"]
        if form == "json":
            show.json_line(told)
        else:
            more = {True: "The phone has more.", False: "That was all."}.get(told["more"], "")
            since = f", back to {before['sent_at']}" if before else ""
            print(f"{told['messages']} messages{since}. {more}".rstrip())
        if before is None or told["more"] is False:
            break
    return exits.OK
