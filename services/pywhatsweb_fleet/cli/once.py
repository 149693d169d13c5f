"""One question to the control plane, for commands that ask no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from pywhatsweb_fleet.cli import exits
from pywhatsweb_fleet.cli.options import Connection


def ask(where: Connection, verb: str, /, **arguments: Any) -> Any:
    """The answer's data to ``noun.verb``; arguments that are None are left out. Raises CommandError."""

    async def run() -> Any:
        from pywhatsweb_fleet.cli.link import linked

        given = {name: value for name, value in arguments.items() if value is not None}
        async with linked(where) as link:
            return await link.ask(verb, given)

    return asyncio.run(run())


def assignments(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """``name=value`` of an option that may come several times. Raises CommandError."""
    found: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise exits.CommandError(f"{option} is written as name=value.", exit_code=exits.USAGE)
        found[name.strip()] = value
    return found
