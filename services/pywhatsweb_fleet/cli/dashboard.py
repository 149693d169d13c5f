"""``pww dashboard``: a link that opens the dashboard, signed in, of the fleet that runs here."""

from __future__ import annotations

import os
from pathlib import Path

from pywhatsweb_fleet.cli import exits


def dashboard(*, tenant: str | None = None, data_dir: Path | None = None) -> int:
    """Print a link to the dashboard that signs one in, with the rights of the tenant's first key, for a minute.

    Parameters
    ----------
    tenant
        Whose; else the fleet's first one.
    data_dir
        The data directory of the `pww up` to talk to.
    """
    import httpx

    from pywhatsweb_fleet.up import places, ready_file

    directory = data_dir or places.default_data_dir(os.environ)
    ready = ready_file.read(directory.absolute() / "ready.json")
    if ready is None or ready.http_url is None:
        raise exits.CommandError(
            f"no fleet with a gateway runs on {directory}.",
            exit_code=exits.UNREACHABLE,
            action="Start one with `pww up`.",
        )
    name = tenant or os.environ.get("PWW_TENANT") or min(ready.tenants, default="")
    if name not in ready.tenants:
        raise exits.CommandError(
            f"this fleet has no tenant {name}; it has {', '.join(sorted(ready.tenants)) or 'none'}.",
            exit_code=exits.USAGE,
        )
    headers = {"Authorization": f"Bearer {ready.tenants[name].api_key}"}
    try:
        answer = httpx.post(f"{ready.http_url}/v1/tickets", headers=headers, timeout=10, trust_env=False)
    except httpx.HTTPError:
        raise exits.CommandError("the gateway does not answer.", exit_code=exits.UNREACHABLE) from None
    if answer.status_code != 201:
        raise exits.CommandError("the tenant's first key was ended; sign in with another one, or as a user.")
    print(f"{ready.http_url}/dashboard/#ticket={answer.json()['ticket']}")
    return exits.OK
