"""``pww ask``: any request of the control plane, for what has no command of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pywhatsweb_fleet.cli import exits
from pywhatsweb_fleet.cli.options import Connection


def ask(verb: str, arguments: str = "{}", /, *, where: Connection = None) -> int:
    """Ask the control plane, and print its answer as JSON.

    Parameters
    ----------
    verb
        noun.verb: message.status, chat.messages, session.list, …
    arguments
        Its arguments, as a JSON object.
    """
    try:
        given = json.loads(arguments)
    except ValueError:
        given = None
    if not isinstance(given, dict) or verb.count(".") != 1:
        raise exits.CommandError(
            'ask wants noun.verb and a JSON object, such as: message.status \'{"id": "order-1042"}\'.',
            exit_code=exits.USAGE,
        )

    async def run() -> Any:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            return await link.ask(verb, given)

    print(json.dumps(asyncio.run(run()), indent=2, ensure_ascii=False))
    return exits.OK
