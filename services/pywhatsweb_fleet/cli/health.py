"""``pww health``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pywhatsweb_fleet.cli import exits, probing, show
from pywhatsweb_fleet.cli.options import WHERE, Connection

Flag = Annotated[bool, Parameter(negative="")]


def health(
    *,
    sidecar: Flag = False,
    sessions: Flag = False,
    storage: Flag = False,
    where: Connection = None,
    form: Annotated[
        Literal["human", "json", "prometheus"], Parameter(name="--format", group=WHERE)
    ] = "human",
) -> int:
    """Say whether the fleet works for this tenant; exit code 1 when a part of it does not.

    Parameters
    ----------
    sidecar
        Also what the engines need here: Node and their packages.
    sessions
        Also each session; one that is to run and has ended counts.
    storage
        Only the parts that store: broker and database.
    """

    async def ask() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            return await link.ask("health.get"), (
                (await link.ask("session.list"))["sessions"] if sessions else []
            )

    found, listed = asyncio.run(ask())
    more = probing.sessions(listed)
    if sidecar:
        import os

        more += probing.sidecar(os.environ)
    ok = found["ok"] and not any(one.state == probing.BAD for one in more)
    if form == "json":
        show.json_line({**found, "ok": ok, **({"more": [one._asdict() for one in more]} if more else {})})
    elif form == "prometheus":
        print(_metrics(found, more, ok), end="")
    else:
        parts = {
            name: "ok" if part["ok"] else part["detail"] or "not ok" for name, part in found["parts"].items()
        }
        counts = {f"sessions {status}": count for status, count in sorted(found["sessions"].items())}
        show.pairs(
            {
                "fleet": "ok" if ok else "degraded",
                "version": found["version"],
                **parts,
                **({} if storage and not sessions else counts),
                **{one.name: f"{one.state} {one.detail}".strip() for one in more},
            }
        )
    return exits.OK if ok else exits.FAILED


def _metrics(found: dict[str, Any], more: list[probing.Finding], ok: bool) -> str:
    """Prometheus' text, for a textfile collector: of this tenant, as the control plane has it."""
    lines = [
        "# HELP pww_health_ok Whether the fleet works for this tenant.",
        "# TYPE pww_health_ok gauge",
        f"pww_health_ok {int(ok)}",
        "# HELP pww_health_part_ok Whether a part of it does.",
        "# TYPE pww_health_part_ok gauge",
        *(f'pww_health_part_ok{{part="{name}"}} {int(part["ok"])}' for name, part in found["parts"].items()),
        *(f'pww_health_part_ok{{part="{one.name}"}} {int(one.state != probing.BAD)}' for one in more),
        "# HELP pww_health_sessions Sessions by status.",
        "# TYPE pww_health_sessions gauge",
        *(
            f'pww_health_sessions{{status="{status}"}} {count}'
            for status, count in sorted(found["sessions"].items())
        ),
    ]
    return "\n".join(lines) + "\n"
