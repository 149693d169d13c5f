"""``pww contact …``: who is on WhatsApp, what they show of themselves, and whom a session blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from cyclopts import App

from pywhatsweb.contracts import live
from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection, Person

app = App(name="contact", help="See who is on WhatsApp, and block people.", result_action="return_value")


def ask_live(where: Connection, verb: str, *, nulls: Sequence[str] = (), **arguments: Any) -> Any:
    """The data of a live verb's answer; None is left out, but of ``nulls``. Raises CommandError."""

    async def run() -> Any:
        from pywhatsweb_fleet.cli.link import linked

        given = {name: value for name, value in arguments.items() if value is not None or name in nulls}
        async with linked(where) as link:
            return await link.ask(verb, given, deadline=live.ASK_S)

    return asyncio.run(run())


@app.command
def check(*numbers: str, session: str | None = None, where: Connection = None, form: Answer = "human") -> int:
    """Say which numbers are on WhatsApp; the exit code tells whether all are.

    Parameters
    ----------
    numbers
        At most 500.
    session
        Ask through this one; else through any that works.
    """
    if not numbers:
        raise exits.CommandError("name at least one number.", exit_code=exits.USAGE)
    found = ask_live(where, "contact.check", numbers=[*numbers], session_id=session)["numbers"]
    if form == "json":
        for one in found:
            show.json_line(one)
    else:
        show.table(
            ("NUMBER", "ON WHATSAPP", "ACCOUNT", "LID"),
            ((one["number"], "yes" if one["exists"] else "no", one["pn"], one["lid"]) for one in found),
        )
    return exits.OK if all(one["exists"] for one in found) else exits.FAILED


@app.command(name="show")
def show_(to: str, /, *, session: str | None = None, where: Connection = None, form: Answer = "human") -> int:
    """Show what WhatsApp tells of a person now.

    Parameters
    ----------
    to
        A number, or lid:….
    session
        Ask through this one; else through any that works.
    """
    found = ask_live(where, "contact.info", to=to, session_id=session)
    if form == "json":
        show.json_line(found)
        return exits.OK
    if not found["exists"]:
        print("Not on WhatsApp.")
        return exits.FAILED
    business = found.pop("business") or {}
    websites = ", ".join(business.pop("websites", []))
    show.pairs({**found.pop("person"), **found, **business, "websites": websites})
    return exits.OK


@app.command
def block(to: Person, /, *, session: str, where: Connection = None) -> int:
    """Take nothing from a person any more.

    Parameters
    ----------
    session
        Whose account blocks them.
    """
    return _act(where, "contact.block", to, session, "Blocked.")


@app.command
def unblock(to: Person, /, *, session: str, where: Connection = None) -> int:
    """Take it again.

    Parameters
    ----------
    session
        Whose account unblocks them.
    """
    return _act(where, "contact.unblock", to, session, "Unblocked.")


def _act(where: Connection, verb: str, to: str, session: str, done: str) -> int:
    ask_live(where, verb, to=to, session_id=session)
    print(done)
    return exits.OK


@app.command
def blocked(*, session: str, where: Connection = None, form: Answer = "human") -> int:
    """List whom a session's account has blocked.

    Parameters
    ----------
    session
        Whose account.
    """
    people = ask_live(where, "contact.blocked", session_id=session)["people"]
    show.listing(form, people, "Nobody.", ("NUMBER", "LID"), lambda one: (one["pn"], one["lid"]))
    return exits.OK
