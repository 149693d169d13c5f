"""``pww webhook …``: have events posted to HTTP servers, and see how that goes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(
    name="webhook",
    help="Have events posted to HTTP servers, and see how that goes.",
    result_action="return_value",
)

Names = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]


def _ask(where: Connection, verb: str, **arguments: Any) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        given = {name: value for name, value in arguments.items() if value is not None}
        async with linked(where) as link:
            found: dict[str, Any] = await link.ask(f"webhook.{verb}", given)
            return found

    return asyncio.run(run())


def _tell(info: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(info)
    else:
        show.pairs(
            {
                name: ", ".join(value) if isinstance(value, list) else value
                for name, value in info.items()
                if value not in (None, [])
            }
        )
    return exits.OK


@app.command
def create(
    url: str,
    /,
    *,
    id: str | None = None,  # noqa: A002 - an option's name
    types: Names = None,
    sessions: Names = None,
    body: Literal["pywhatsweb", "waha", "cloud"] = "pywhatsweb",
    header: Names = None,
    description: str | None = None,
    history: Annotated[bool, Parameter(negative="")] = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Have events posted to a URL from now on; the same --id again changes it. The secret is shown only here.

    Parameters
    ----------
    url
        https, unless the operator allows others.
    id
        A name for it; else one is made.
    types
        Only events of these types, such as message or status.
    sessions
        Only those of these sessions.
    body
        Whose bodies: ours, WAHA's, or those of Meta's Cloud API.
    header
        Name: value, sent with every post.
    description
        For people.
    history
        Also messages of a phone's history.
    """
    headers = {}
    for one in header or []:
        name, colon, value = one.partition(":")
        if not colon:
            raise exits.CommandError("a header is written as 'Name: value'.", exit_code=exits.USAGE)
        headers[name.strip()] = value.strip()
    info = _ask(
        where, "create", url=url, webhook_id=id, types=types, sessions=sessions, format=body, headers=headers,
        description=description, history=history,
    )  # fmt: skip
    return _tell(info, form)


@app.command(name="list")
def list_(*, where: Connection = None, form: Answer = "human") -> int:
    """List the tenant's webhooks."""
    found = _ask(where, "list")["webhooks"]
    if form == "json":
        for one in found:
            show.json_line(one)
        return exits.OK
    if not found:
        print("No webhooks.")
        return exits.OK
    show.table(
        ("ID", "STATE", "WAITING", "DEAD", "URL"),
        (
            (one["webhook_id"], show.word(one["state"]), str(one["waiting"]), str(one["dead"]), one["url"])
            for one in found
        ),
    )
    return exits.OK


@app.command(name="show")
def show_(webhook: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Show one and how it does."""
    return _tell(_ask(where, "get", webhook_id=webhook), form)


@app.command
def delete(webhook: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Forget one, and what waits for it."""
    return _tell(_ask(where, "delete", webhook_id=webhook), form)


@app.command
def enable(webhook: str, /, *, replay: bool = False, where: Connection = None, form: Answer = "human") -> int:
    """Post again, from now on.

    Parameters
    ----------
    replay
        From where it stopped, as far as events are kept.
    """
    return _tell(_ask(where, "enable", webhook_id=webhook, replay=replay), form)


@app.command
def disable(webhook: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Post nothing until it is enabled."""
    return _tell(_ask(where, "disable", webhook_id=webhook), form)


@app.command
def rotate(
    webhook: str, /, *, overlap: int = 86_400, where: Connection = None, form: Answer = "human"
) -> int:
    """Make a new secret, which is shown only here.

    Parameters
    ----------
    overlap
        For so many seconds the old one signs too.
    """
    return _tell(_ask(where, "rotate", webhook_id=webhook, overlap_s=overlap), form)


@app.command(name="test")
def try_(webhook: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Post a test event now; the exit code tells whether it was taken."""
    done = _ask(where, "test", webhook_id=webhook)
    if form == "json":
        show.json_line(done)
    else:
        print(f"{_answer(done)} after {done['took_ms']} ms")
    return exits.OK if done["ok"] else exits.FAILED


@app.command
def log(
    webhook: str,
    /,
    *,
    failed: bool = False,
    limit: int = 50,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show the last tries, newest first.

    Parameters
    ----------
    failed
        Only those that failed.
    limit
        How many, at most 500.
    """
    found = _ask(where, "deliveries", webhook_id=webhook, failed=failed, limit=limit)["deliveries"]
    if form == "json":
        for one in found:
            show.json_line(one)
        return exits.OK
    show.table(
        ("AT", "TYPE", "TRY", "ANSWER", "MS", "EVENT"),
        (
            (
                one["at"][:19].replace("T", " "), one["type"], str(one["attempt"]), _answer(one), str(one["took_ms"]),
                one["event_id"],
            )
            for one in found
        ),
    )  # fmt: skip
    return exits.OK


@app.command
def dead(webhook: str, /, *, limit: int = 50, where: Connection = None, form: Answer = "human") -> int:
    """List events that were given up, newest first.

    Parameters
    ----------
    limit
        How many, at most 500.
    """
    found = _ask(where, "deadletters", webhook_id=webhook, limit=limit)["deadletters"]
    if form == "json":
        for one in found:
            show.json_line(one)
        return exits.OK
    if not found:
        print("None.")
        return exits.OK
    show.table(
        ("EVENT", "TYPE", "FROM", "TRIES", "ANSWER"),
        (
            (one["event_id"], one["type"], one["first_at"][:16], str(one["attempts"]), _answer(one))
            for one in found
        ),
    )
    return exits.OK


@app.command
def redrive(
    webhook: str,
    event: str | None = None,
    /,
    *,
    all: bool = False,  # noqa: A002 - an option's name
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Try one event that was given up again, or --all.

    Parameters
    ----------
    event
        Its id, as `pww webhook dead` lists it.
    """
    if (event is not None) == all:
        raise exits.CommandError("name one event, or say --all.", exit_code=exits.USAGE)
    done = _ask(where, "redrive", webhook_id=webhook, event_id=event, all=all)
    if form == "json":
        show.json_line(done)
    else:
        print(f"{done['count']} put back.")
    return exits.OK


def _answer(one: dict[str, Any]) -> str:
    return str(one["answer"] or one["error"])
