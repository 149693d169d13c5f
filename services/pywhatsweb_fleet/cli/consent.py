"""``pww consent …``: who agreed to what, who opted out, and the words that do it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.once import ask
from pywhatsweb_fleet.cli.options import Answer, Connection, Person, Signed, given

app = App(
    name="consent",
    help="Keep who agreed to what, and who does not want to be written to.",
    result_action="return_value",
)
_COLUMNS = ("PERSON", "PURPOSE", "SINCE", "SOURCE", "WITHDRAWN")


@app.command(name="show")
def show_(to: Person, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Show what a person agreed to, and whether they opted out."""
    return _tell(ask(where, "consent.get", to=to), form)


@app.command
def record(
    to: Person,
    /,
    *,
    purpose: str,
    source: str,
    text: str | None = None,
    at: str | None = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Keep that a person agreed to be written to.

    Parameters
    ----------
    purpose
        What for: marketing, reminders, …
    source
        Where they agreed: a form, a contract, a call.
    text
        What they agreed to, in its words.
    at
        When, with its zone; now by default.
    by
        Who does it.
    """
    found = ask(where, "consent.record", to=to, purpose=purpose, source=source, text=text, at=at, by=by)
    return _tell(found, form)


@app.command
def withdraw(
    to: Person, /, *, purpose: str, trail: Signed = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Keep that they agree no longer.

    Parameters
    ----------
    purpose
        To what.
    """
    return _tell(ask(where, "consent.withdraw", to=to, purpose=purpose, **given(trail)), form)


@app.command
def opt_out(to: Person, /, *, trail: Signed = None, where: Connection = None, form: Answer = "human") -> int:
    """Have nobody write to a person any more, unless they write first."""
    return _tell(ask(where, "contact.opt_out", to=to, **given(trail)), form)


@app.command
def opt_in(to: Person, /, *, trail: Signed = None, where: Connection = None, form: Answer = "human") -> int:
    """Take that back, because they asked for it."""
    return _tell(ask(where, "contact.opt_in", to=to, **given(trail)), form)


@app.command(name="list")
def list_(
    *, purpose: str | None = None, limit: int = 500, where: Connection = None, form: Answer = "human"
) -> int:
    """List who agreed to what.

    Parameters
    ----------
    purpose
        Only to this.
    limit
        How many, at most 500.
    """
    found = ask(where, "consent.list", purpose=purpose, limit=limit)["consents"]
    show.listing(form, found, "Nobody.", _COLUMNS, _row)
    return exits.OK


@app.command
def opt_outs(*, limit: int = 500, where: Connection = None, form: Answer = "human") -> int:
    """List who opted out, by the keys of their chats.

    Parameters
    ----------
    limit
        How many, at most 500.
    """
    found = ask(where, "consent.opt_outs", limit=limit)["opt_outs"]
    show.listing(
        form, found, "Nobody.", ("CHAT", "SINCE", "WORD OR BY", "SESSION"),
        lambda one: (one["key"], one["at"], one["word"] or one["by"], one["session_id"]),
    )  # fmt: skip
    return exits.OK


@app.command
def words(
    *new: str,
    none: Annotated[bool, Parameter(negative="")] = False,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show the words that opt their sender out, or replace them.

    Parameters
    ----------
    new
        The new words, all of them.
    none
        No word does it any more.
    by
        Who does it.
    """
    if none and new:
        raise exits.CommandError("words, or --none, not both.", exit_code=exits.USAGE)
    arguments = {"words": [*new], "by": by} if none or new else {}
    found = ask(where, "consent.set_words" if arguments else "consent.words", **arguments)
    if form == "json":
        show.json_line(found)
    else:
        print("\n".join(found["words"]) or "No words.")
    return exits.OK


def _tell(found: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(found)
        return exits.OK
    out = found["opt_out"]
    told = f"since {out['at']}, by {out['word'] or out['by'] or 'request'}" if out else "no"
    show.pairs({"chat": found["key"], "opted out": told})
    if found["consents"]:
        show.table(_COLUMNS, map(_row, found["consents"]))
    return exits.OK


def _row(one: dict[str, Any]) -> tuple[str | None, ...]:
    person = one["person"]
    return person["pn"] or person["lid"], one["purpose"], one["at"], one["source"], one["withdrawn_at"]
