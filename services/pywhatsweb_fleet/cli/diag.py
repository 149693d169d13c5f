"""``pww diag``, ``pww test …`` and ``pww config show``: what is wrong, and where."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, probing, show
from pywhatsweb_fleet.cli.options import Answer, Connection, Where
from pywhatsweb_fleet.cli.probing import Finding

test = App(name="test", help="Check this machine and the way to a fleet.", result_action="return_value")
config = App(name="config", help="Show the settings that count here.", result_action="return_value")

Flag = Annotated[bool, Parameter(negative="")]
_SECRETS = ("PASSWORD", "KEY", "SECRET", "TOKEN", "CREDS", "SEED")


def diag(
    *,
    session: str | None = None,
    sidecar: Flag = False,
    storage: Flag = False,
    verbose: Flag = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Look at a fleet from all sides and say what is wrong; exit code 1 when something is. Without options: all.

    Parameters
    ----------
    session
        This session: its state, queue and last failure.
    sidecar
        Node, the engines' packages, and the session workers.
    storage
        The database, the broker's streams and the disk.
    verbose
        Also what every service says of its health.
    """
    return probing.tell(asyncio.run(_diag(where or Where(), session, sidecar, storage, verbose)), form)


async def _diag(
    where: Where, session: str | None, sidecar: bool, storage: bool, verbose: bool
) -> list[Finding]:
    from pywhatsweb_fleet.cli.link import linked

    everything = not (session or sidecar or storage)
    found: list[Finding] = []
    ready = _ready(where)
    async with linked(where) as link:
        health = await link.ask("health.get")
        if everything:
            found.append(Finding("fleet", probing.OK if health["ok"] else probing.BAD, health["version"]))
        if everything or storage:
            found += probing.parts(health)
            found += probing.storage(ready[0]) if ready else []
        if session:
            info = await link.ask("session.status", {"session_id": session})
            found += probing.sessions([info])
            found += [
                Finding(name, probing.OK, str(info[name]))
                for name in ("engine", "worker", "queued", "since", "phone_number")
                if info.get(name) is not None
            ]
        elif everything:
            found += probing.sessions((await link.ask("session.list"))["sessions"])
    if everything or sidecar:
        found += await asyncio.to_thread(probing.sidecar, os.environ)
    urls = ready[1] if ready else {}
    wanted = (
        urls if verbose else {n: u for n, u in urls.items() if sidecar and n.startswith("session_worker")}
    )
    for name, url in wanted.items():
        found.append(await probing.timed(name, lambda url=url: _service(url)))  # type: ignore[misc]
    return found


async def _service(url: str) -> str:
    """A service's own word. Raises CommandError when it is not well."""
    said = json.loads(await probing.fetch(f"{url}/health"))
    bad = [
        f"{name}: {what}"
        for name, what in (said.get("checks") or {}).items()
        if what not in (None, "ok", True)
    ]
    if bad:
        raise exits.CommandError("; ".join(bad))
    return ""


def _ready(where: Where) -> tuple[Path, Mapping[str, str]] | None:
    """Of a `pww up` here: its data directory, and where its services tell their health."""
    from pywhatsweb_fleet.up import places, ready_file

    if where.data_dir is None and (where.url or os.environ.get("PWW_NATS_URL")):
        return None
    directory = (where.data_dir or places.default_data_dir(os.environ)).absolute()
    ready = ready_file.read(directory / "ready.json")
    return (directory, ready.health) if ready is not None else None


@test.command
def compatibility(*, form: Answer = "human") -> int:
    """Check that this machine has what a fleet needs: Python, packages, nats-server, Node, the engines."""
    return probing.tell(probing.compatibility(os.environ), form)


@test.command
def connectivity(
    *,
    sidecar: Flag = False,
    websocket: Flag = False,
    storage: Flag = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Go the ways to a fleet and say how long each took. Without options: all.

    Parameters
    ----------
    sidecar
        To the services that own sessions.
    websocket
        To the gateway, whose WebSocket and REST are one address.
    storage
        To the database and the streams, by way of the services.
    """
    return probing.tell(asyncio.run(_connectivity(where or Where(), sidecar, websocket, storage)), form)


async def _connectivity(where: Where, sidecar: bool, websocket: bool, storage: bool) -> list[Finding]:
    from pywhatsweb_fleet.cli.link import linked

    everything = not (sidecar or websocket or storage)

    async def broker() -> str:
        async with linked(where) as link:
            return str(link.tenant)

    found = [await probing.timed("broker", broker)]
    if found[0].state != probing.OK:
        return found
    async with linked(where) as link:

        async def answered() -> str:
            health.update(await link.ask("health.get"))
            return str(health["version"])

        async def owned() -> str:
            return f"{len((await link.ask('session.list'))['sessions'])} sessions"

        health: dict[str, Any] = {}
        found.append(await probing.timed("control plane", answered))
        if everything or sidecar:
            found.append(await probing.timed("sessions", owned))
    if (everything or storage) and health:
        found += probing.parts(health)
    url = _gateway(where)
    if everything or websocket:
        found.append(
            await probing.timed("gateway", lambda: _page(url))
            if url
            else Finding("gateway", probing.WARN, "its address is not known here")
        )
    return found


def _gateway(where: Where) -> str | None:
    from pywhatsweb_fleet.up import ready_file

    found = _ready(where)
    ready = ready_file.read(found[0] / "ready.json") if found else None
    return ready.http_url if ready is not None else None


async def _page(url: str) -> str:
    await probing.fetch(f"{url}/health")
    return url


@config.command(name="show")
def show_(*, data_dir: Path | None = None, form: Answer = "human") -> int:
    """Show the settings of the environment, and where the fleet here is. Secrets are not shown.

    Parameters
    ----------
    data_dir
        The data directory of the `pww up` that is meant.
    """
    from pywhatsweb_fleet.up import places, ready_file

    directory = (data_dir or places.default_data_dir(os.environ)).absolute()
    ready = ready_file.read(directory / "ready.json")
    settings = {
        name: _shown(name, value) for name, value in sorted(os.environ.items()) if name.startswith("PWW_")
    }
    found: dict[str, Any] = {"data_dir": str(directory), "running": ready is not None}
    if ready is not None:
        found |= {
            "nats_url": ready.nats_url,
            "http_url": ready.http_url,
            "sandbox_url": ready.sandbox_url,
            "tenants": sorted(ready.tenants),
        }
    if form == "json":
        show.json_line({**found, "environment": settings})
        return exits.OK
    if ready is not None:
        found["tenants"] = ", ".join(found["tenants"])
    show.pairs({**found, **settings})
    return exits.OK


def _shown(name: str, value: str) -> str:
    """A file's or directory's name is no secret; what is in an address before the @ is."""
    if name.endswith(("_FILE", "_DIR", "_PATH")):
        return value
    if any(word in name for word in _SECRETS):
        return "(hidden)" if value else ""
    scheme, separator, rest = value.partition("://")
    if separator and "@" in rest:
        return f"{scheme}://(hidden)@{rest.rpartition('@')[2]}"
    return value
