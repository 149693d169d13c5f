"""``pww channel …``: find, make, follow, mute and leave WhatsApp's channels."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.contact import ask_live
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(name="channel", help="Find, make, follow, mute and leave channels.", result_action="return_value")

OfSession = Annotated[str, Parameter(help="Whose account.")]
Which = Annotated[str, Parameter(help="Its id (…@newsletter), its link, or the link's code.")]


def _tell(channel: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(channel)
    else:
        show.pairs(channel)
    return exits.OK


def _act(where: Connection, verb: str, session: str, channel: str, done: str, **more: Any) -> int:
    ask_live(where, verb, session_id=session, channel=channel, **more)
    print(done)
    return exits.OK


@app.command(name="show")
def show_(channel: Which, /, *, session: OfSession, where: Connection = None, form: Answer = "human") -> int:
    """Show a channel, and what the account is in it."""
    return _tell(ask_live(where, "channel.get", session_id=session, channel=channel), form)


@app.command
def create(
    name: str,
    /,
    *,
    session: OfSession,
    description: str = "",
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Make a channel. To post: pww send --to <its id>.

    Parameters
    ----------
    name
        At most 100 characters.
    description
        What it is about.
    """
    made = ask_live(where, "channel.create", session_id=session, name=name, description=description)
    return _tell(made, form)


@app.command
def follow(channel: Which, /, *, session: OfSession, where: Connection = None) -> int:
    """Follow a channel: its posts come as events."""
    return _act(where, "channel.follow", session, channel, "Followed.")


@app.command
def unfollow(channel: Which, /, *, session: OfSession, where: Connection = None) -> int:
    """Follow it no more."""
    return _act(where, "channel.unfollow", session, channel, "Not followed any more.")


@app.command
def mute(
    channel: Which,
    /,
    *,
    session: OfSession,
    off: Annotated[bool, Parameter(negative="")] = False,
    where: Connection = None,
) -> int:
    """Mute a channel on the account's phones.

    Parameters
    ----------
    off
        Not muted any more.
    """
    done = "Not muted any more." if off else "Muted."
    return _act(where, "channel.mute", session, channel, done, muted=not off)


@app.command
def delete(channel: Which, /, *, session: OfSession, where: Connection = None) -> int:
    """Delete a channel that the account owns, for everybody."""
    return _act(where, "channel.delete", session, channel, "Deleted.")
