"""``pww deadletter …``: what was set aside, to look at, put back or drop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection, Signed, given

if TYPE_CHECKING:
    from pywhatsweb_fleet.cli.link import Link

app = App(
    name="deadletter",
    help="See commands and events that were set aside, put them back or drop them.",
    result_action="return_value",
)

_PAGE = 200


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    kind: Literal["command", "event"] | None = None
    """Only commands, or only events."""
    code: str | None = None
    """Only those with this reason, such as E_POISON."""
    session: str | None = None
    """Only those of this session."""


Of = Annotated[Filters | None, Parameter()]
One = Annotated[str | None, Parameter(help="Its id, as listed.")]
Every = Annotated[bool, Parameter(name="--all", help="All that the filters leave.")]


def _given(of: Filters | None, **arguments: Any) -> dict[str, Any]:
    of = of or Filters()
    arguments |= {"kind": of.kind, "code": of.code, "session_id": of.session}
    return {name: value for name, value in arguments.items() if value not in (None, False)}


@app.command(name="list")
def list_(*, of: Of = None, limit: int = 50, where: Connection = None, form: Answer = "human") -> int:
    """List them, oldest first.

    Parameters
    ----------
    limit
        How many.
    """
    found, state = asyncio.run(_list(where, _given(of), limit))
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
    letter: One = None,
    /,
    *,
    every: Every = False,
    of: Of = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Put one back, or --all that the filters leave. Doing it twice sends nothing twice.

    Parameters
    ----------
    by
        Who does it, for the audit trail.
    """
    return _act(where, "redrive", _chosen(letter, every, of, by=by), form, "put back")


@app.command
def drop(
    letter: One = None,
    /,
    *,
    every: Every = False,
    of: Of = None,
    trail: Signed = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Remove one for good, or --all that the filters leave. The audit trail keeps that they were there."""
    return _act(where, "drop", _chosen(letter, every, of, **given(trail)), form, "dropped")


def _chosen(letter: str | None, every: bool, of: Filters | None, **more: Any) -> dict[str, Any]:
    if (letter is not None) == every:
        raise exits.CommandError("name one dead letter, or say --all.", exit_code=exits.USAGE)
    return _given(of, id=letter, all=every, **more)


def _act(where: Connection, verb: str, arguments: dict[str, Any], form: Answer, done: str) -> int:
    count = asyncio.run(_do(where, f"deadletter.{verb}", arguments, form))
    if form == "human":
        print(f"{count} {done}.")
    return exits.OK


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
