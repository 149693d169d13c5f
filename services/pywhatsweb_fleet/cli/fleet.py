"""Commands that run something: everything, one service, or the local WhatsApp alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pywhatsweb_fleet.cli import exits

if TYPE_CHECKING:
    from pywhatsweb_fleet.up.ready_file import Ready

Engine = Literal["simulated", "baileys", "webjs"]
ServiceName = Literal[
    "dispatcher", "session-worker", "persistence", "kanban", "webhooks", "gateway", "tenancy"
]


def up(
    *,
    data_dir: Path | None = None,
    engine: Engine = "baileys",
    sandbox: bool | None = None,
    workers: int = 1,
    nats_port: int | None = None,
    http_port: int | None = None,
    ready_file: Path | None = None,
    tenant: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
) -> int:
    """Run the broker, every service and the local WhatsApp here, until Ctrl-C.

    Parameters
    ----------
    data_dir
        Where everything is kept: .data of the checkout, else ~/.local/share/pywhatsweb.
    engine
        What sessions speak to WhatsApp with, unless they name another.
    sandbox
        Run the local WhatsApp. The default, unless the engine is simulated or PWW_WHATSAPP_URL names another.
    workers
        How many session workers.
    nats_port
        The broker's port: 4222 or, when that is taken, any; 0: any free one.
    http_port
        The gateway's port: 8080 or, when that is taken, any; 0: any free one.
    ready_file
        A file (JSON) to write when everything is ready; it is also in the data directory, as ready.json.
    tenant
        Tenants to make if they are not there yet; the first start without any makes demo.
    """
    import asyncio

    from pywhatsweb.contracts.subjects import valid_name
    from pywhatsweb_fleet.broker.process import BrokerRefused
    from pywhatsweb_fleet.broker.secrets import SecretsError
    from pywhatsweb_fleet.up import places, supervisor
    from pywhatsweb_fleet.up.datadir import StartError
    from pywhatsweb_runtime import logs
    from pywhatsweb_runtime.settings import SettingsError, load

    environ = dict(os.environ)
    elsewhere = bool(environ.get("PWW_WHATSAPP_URL"))
    if sandbox and elsewhere:
        raise exits.CommandError(
            "--sandbox and PWW_WHATSAPP_URL each name a WhatsApp to connect to; keep one.",
            exit_code=exits.USAGE,
        )
    if workers < 0:
        raise exits.CommandError("--workers is a number of processes, 0 or more.", exit_code=exits.USAGE)
    for name in tenant or []:
        if not valid_name(name):
            raise exits.CommandError(
                f"--tenant {name}: a name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit.",
                exit_code=exits.USAGE,
            )
    if ready_file is not None and not ready_file.absolute().parent.is_dir():
        raise exits.CommandError(
            f"--ready-file {ready_file}: there is no such directory.", exit_code=exits.USAGE
        )
    options = supervisor.Options(
        data_dir=(data_dir or places.default_data_dir(environ)).absolute(),
        engine=engine,
        sandbox=sandbox if sandbox is not None else engine != "simulated" and not elsewhere,
        workers=workers,
        nats_port=nats_port,
        http_port=http_port,
        ready_file=ready_file.absolute() if ready_file is not None else None,
        tenants=tenant or [],
        environ=environ,
    )
    try:
        how = load(places.LogSettings, environ)
        logs.set_up("pww", form=how.log_format, level=how.log_level)
        return asyncio.run(supervisor.run(options, _welcome))
    except (StartError, BrokerRefused, SecretsError, SettingsError) as error:
        raise exits.CommandError(str(error)) from None


def _welcome(ready: Ready, data_dir: Path) -> None:
    from pywhatsweb_fleet.up.places import is_default

    tenant = next(iter(ready.tenants), "demo")
    at = "" if is_default(data_dir, os.environ) else f" --data-dir {data_dir}"
    lines = [
        "",
        "  PyWhatsWeb fleet is up. Ctrl-C stops it; the next start resumes.",
        "",
        f"  broker    {ready.nats_url}   (users and passwords: {data_dir / 'ready.json'})",
        *(
            [f"  gateway   {ready.http_url}   (dashboard: `pww dashboard{at}` prints a way in)"]
            if ready.http_url
            else []
        ),
        *(
            [f"  WhatsApp  {ready.sandbox_url}   a local one: scan, chat and break things here"]
            if ready.sandbox_url
            else []
        ),
        f"  tenants   {', '.join(sorted(ready.tenants))}",
        "",
        "  Try, in another terminal:",
        f"    pww session start s1{at}",
        f'    pww send --session s1 --to +5511999990001 "Olá!"{at}',
        f"    pww events --follow{at}",
        "",
    ]
    if tenant != "demo" or len(ready.tenants) > 1:
        lines.insert(-1, f"  (as another tenant than {tenant}: --tenant NAME)")
    print("\n".join(lines), flush=True)


def run(service: ServiceName, /) -> int:
    """Run one service here, with settings from the environment (PWW_NATS_URL, PWW_DATABASE_URL, …)."""
    import importlib.util
    import runpy

    module = f"pywhatsweb_fleet.{service.replace('-', '_')}"
    if importlib.util.find_spec(module) is None:
        raise exits.CommandError(f"{service} is not part of this version.", exit_code=exits.USAGE)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else exits.OK if ended.code is None else exits.FAILED
    return exits.OK


def sandbox(
    *,
    data_dir: Path | None = None,
    ws_port: int = 0,
    http_port: int = 0,
    media_port: int = 0,
    ready_file: Path | None = None,
) -> int:
    """Run the local WhatsApp alone: PWW_WHATSAPP_URL, _ROOT_KEY and _CA then point a worker at it.

    Parameters
    ----------
    data_dir
        Where its phones, contacts and journal are kept; by default not where `pww up` keeps those of its own.
    ws_port
        The port that sessions connect to; 0: any free one.
    http_port
        The port of its page and control interface; 0: any free one.
    media_port
        The port of its media host; 0: any free one.
    ready_file
        A file (JSON) to write when it listens: ws_url, root_key, media_ca, media_url, http_url, pid.
    """
    from pywhatsweb_fleet.up import places
    from pywhatsweb_fleet.up import sandbox as local
    from pywhatsweb_fleet.up.datadir import StartError

    directory = (data_dir or places.default_data_dir(os.environ) / "sandbox-alone").absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        command = [local.node_binary(os.environ), str(local.entry_point()), "--data-dir", str(directory)]
    except StartError as error:
        raise exits.CommandError(str(error)) from None
    for name, port in (("ws", ws_port), ("http", http_port), ("media", media_port)):
        command += [f"--{name}-port", str(port)]
    if ready_file is not None:
        command += ["--ready-file", str(ready_file.absolute())]
    # In our place: signals and the exit code are its own.
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
