"""``pww deadletter …``: what was set aside, to look at, put back or drop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection

if TYPE_CHECKING:
    from pywhatsweb_fleet.cli.link import Link

app = App(
    name="deadletter",
    help="See commands and events that were set aside, put them back or drop them.",
    result_action="return_value",
)

Kind = Literal["command", "event"]
_PAGE = 200


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value not in (None, False)}


@app.command(name="list")
def list_(
    *,
    kind: Kind | None = None,
    code: str | None = None,
    session: str | None = None,
    limit: int = 50,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """List them, oldest first.

    Parameters
    ----------
    kind
        Only commands, or only events.
    code
        Only those with this reason, such as E_POISON.
    session
        Only those of this session.
    limit
        How many.
    """
    filters = _given(kind=kind, code=code, session_id=session)
    found, state = asyncio.run(_list(where, filters, limit))
    if form == "json":
        for letter in found:
            show.json_line(letter)
        return exits.OK
    if not found:
        print("No dead letters.")
    else:
        show.table(
            ("ID", "KIND", "SESSION", "SINCE", "CODE"),
            (
                (
                    letter["id"],
                    letter["kind"],
                    letter["session_id"],
                    letter["received_at"][:16],
                    letter["code"],
                )
                for letter in found
            ),
        )
    if state["total"] > len(found):
        print(show.dim(f"{len(found)} of {state['total']} that the tenant has."))
    if state["bytes"] > 0.9 * state["max_bytes"] > 0:
        print("The store is nearly full: the oldest make way for new ones.")
    return exits.OK


async def _list(
    where: Connection, filters: dict[str, Any], limit: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from pywhatsweb_fleet.cli.link import linked

    found: list[dict[str, Any]] = []
    async with linked(where) as link:
        page = await link.ask("deadletter.list", {**filters, "limit": max(1, min(limit, _PAGE))})
        found += page["deadletters"]
        while page["cursor"] and len(found) < limit:
            further = {"limit": min(limit - len(found), _PAGE), "cursor": page["cursor"]}
            page = await link.ask("deadletter.list", {**filters, **further})
            found += page["deadletters"]
    return found, page


@app.command(name="show")
def show_(letter: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Show one, with what it holds. That may be personal data.

    Parameters
    ----------
    letter
        Its id, as listed.
    """

    async def run() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            found: dict[str, Any] = await link.ask("deadletter.show", {"id": letter})
            return found

    found = asyncio.run(run())
    if form == "json":
        show.json_line(found)
        return exits.OK
    body, raw = found.pop("body"), found.pop("raw")
    found["retryable"] = "yes" if found["retryable"] else "no"
    show.pairs(found)
    print()
    show.json_line(body if body is not None else raw)
    return exits.OK


@app.command
def redrive(
    letter: str | None = None,
    /,
    *,
    all: bool = False,  # noqa: A002 - an option's name
    kind: Kind | None = None,
    code: str | None = None,
    session: str | None = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Put one back, or --all that the filters leave. Doing it twice sends nothing twice.

    Parameters
    ----------
    letter
        Its id, as listed.
    all
        All that the filters leave.
    kind
        Only commands, or only events.
    code
        Only those with this reason, such as E_WHATSAPP_RATE_LIMITED.
    session
        Only those of this session.
    by
        Who does it, for the audit trail.
    """
    arguments = _chosen(letter, all, kind=kind, code=code, session_id=session, by=by)
    count = asyncio.run(_do(where, "deadletter.redrive", arguments, form))
    if form == "human":
        print(f"{count} put back.")
    return exits.OK


@app.command
def drop(
    letter: str | None = None,
    /,
    *,
    all: bool = False,  # noqa: A002 - an option's name
    kind: Kind | None = None,
    code: str | None = None,
    session: str | None = None,
    reason: str | None = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Remove one for good, or --all that the filters leave. The audit trail keeps that they were there.

    Parameters
    ----------
    letter
        Its id, as listed.
    all
        All that the filters leave.
    kind
        Only commands, or only events.
    code
        Only those with this reason.
    session
        Only those of this session.
    reason
        Why, for the audit trail.
    by
        Who does it, for the audit trail.
    """
    arguments = _chosen(letter, all, kind=kind, code=code, session_id=session, by=by, reason=reason)
    count = asyncio.run(_do(where, "deadletter.drop", arguments, form))
    if form == "human":
        print(f"{count} dropped.")
    return exits.OK


def _chosen(letter: str | None, every: bool, **filters: Any) -> dict[str, Any]:
    if (letter is not None) == every:
        raise exits.CommandError("name one dead letter, or say --all.", exit_code=exits.USAGE)
    return _given(id=letter, all=every, **filters)


async def _do(where: Connection, verb: str, arguments: dict[str, Any], form: Answer) -> int:
    from pywhatsweb_fleet.cli.link import linked

    async with linked(where) as link:
        count, cursor = await _step(link, verb, arguments, form)
        while cursor is not None:
            more, cursor = await _step(link, verb, {**arguments, "cursor": cursor}, form)
            count += more
    return count


async def _step(link: Link, verb: str, arguments: dict[str, Any], form: Answer) -> tuple[int, str | None]:
    done = await link.ask(verb, arguments)
    if form == "json":
        show.json_line(done)
    return int(done["count"]), done["cursor"]
