"""``pww chat archive|mute|pin|unread|star``: how a session's account sees its chats on all of its devices."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.options import Connection

To = Annotated[str, Parameter(help="A number, lid:…, or a group's id.")]
OfSession = Annotated[str, Parameter(help="Whose account.")]
Undo = Annotated[bool, Parameter(help="Take it back.", negative="")]


def add_to(app: App) -> None:
    """The commands of this module, as commands of `app`."""
    for command in (archive, mute, pin, unread, star):
        app.command(command)


def archive(to: To, /, *, session: OfSession, undo: Undo = False, where: Connection = None) -> int:
    """Archive a chat of the account; the board knows nothing of it."""
    return _mark(where, "chat.archive", to, session, archived=not undo)


def mute(
    to: To, /, *, session: OfSession, until: str | None = None, undo: Undo = False, where: Connection = None
) -> int:
    """Mute a chat of the account.

    Parameters
    ----------
    until
        A time with its zone (2026-12-24T18:00:00-03:00); else for good.
    """
    return _mark(where, "chat.mute", to, session, muted=not undo, until=until)


def pin(to: To, /, *, session: OfSession, undo: Undo = False, where: Connection = None) -> int:
    """Pin a chat to the top of the account's list."""
    return _mark(where, "chat.pin", to, session, pinned=not undo)


def unread(to: To, /, *, session: OfSession, undo: Undo = False, where: Connection = None) -> int:
    """Mark a chat of the account unread; the contact hears nothing of it."""
    return _mark(where, "chat.mark", to, session, unread=not undo)


def star(to: To, message: str, /, *, session: OfSession, undo: Undo = False, where: Connection = None) -> int:
    """Star a message.

    Parameters
    ----------
    message
        Its id at WhatsApp.
    """
    return _mark(where, "message.star", to, session, message_id=message, starred=not undo)


def _mark(where: Connection, verb: str, to: str, session: str, **more: Any) -> int:
    ask_live(where, verb, to=to, session_id=session, **more)
    print("Done.")
    return exits.OK
