"""``pww tenant …``: the tenants of the fleet that runs here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer

app = App(
    name="tenant",
    help="Add tenants to the fleet that runs here, and list them.",
    result_action="return_value",
)

_ADDED_WITHIN_S = 30.0


@app.command
def add(name: str, /, *, data_dir: Path | None = None, form: Answer = "human") -> int:
    """Add a tenant while everybody stays connected; without a running fleet, from its next start on.

    Parameters
    ----------
    name
        a-z, 0-9, _ and -.
    data_dir
        The data directory of the `pww up`.
    """
    from pywhatsweb.contracts.subjects import valid_name
    from pywhatsweb_fleet.broker import secrets
    from pywhatsweb_fleet.up import datadir, places, ready_file

    if not valid_name(name):
        raise exits.CommandError(f"{name} cannot be a tenant's name.", exit_code=exits.USAGE)
    layout = datadir.Layout((data_dir or places.default_data_dir(os.environ)).absolute())
    try:
        layout.make()
        secrets.load_or_make(layout.root, [name])
    except (datadir.StartError, secrets.SecretsError) as error:
        raise exits.CommandError(str(error)) from None
    pid = datadir.holder(layout)
    if pid is not None:
        os.kill(pid, signal.SIGUSR1)
        until = time.monotonic() + _ADDED_WITHIN_S
        while (ready := ready_file.read(layout.ready)) is None or name not in ready.tenants:
            if time.monotonic() > until:
                raise exits.CommandError(
                    f"the fleet has not added {name} yet.",
                    exit_code=exits.TIMED_OUT,
                    action="What `pww up` logs says why; its next start adds it.",
                )
            time.sleep(0.1)
    if form == "json":
        show.json_line({"tenant": name, "running": pid is not None})
    else:
        print(f"{name} is there." if pid is not None else f"{name} will be there when `pww up` starts.")
    return exits.OK


@app.command(name="list")
def list_(*, data_dir: Path | None = None, form: Answer = "human") -> int:
    """List the tenants.

    Parameters
    ----------
    data_dir
        The data directory of the `pww up`.
    """
    from pywhatsweb_fleet.broker import secrets
    from pywhatsweb_fleet.up import places

    directory = (data_dir or places.default_data_dir(os.environ)).absolute()
    try:
        found = secrets.load(directory)
    except secrets.SecretsError as error:
        raise exits.CommandError(str(error)) from None
    for name in sorted(found.tenants) if found is not None else ():
        if form == "json":
            show.json_line({"tenant": name})
        else:
            print(name)
    return exits.OK
