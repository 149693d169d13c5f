"""``pww health``."""

from __future__ import annotations

import asyncio
from typing import Any

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection


def health(*, where: Connection = None, form: Answer = "human") -> int:
    """Say whether the fleet works for this tenant; exit code 1 when a part of it does not."""

    async def ask() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            found: dict[str, Any] = await link.ask("health.get")
            return found

    found = asyncio.run(ask())
    if form == "json":
        show.json_line(found)
    else:
        parts = {
            name: "ok" if part["ok"] else part["detail"] or "not ok" for name, part in found["parts"].items()
        }
        sessions = {f"sessions {status}": count for status, count in sorted(found["sessions"].items())}
        show.pairs(
            {"fleet": "ok" if found["ok"] else "degraded", "version": found["version"], **parts, **sessions}
        )
    return exits.OK if found["ok"] else exits.FAILED
