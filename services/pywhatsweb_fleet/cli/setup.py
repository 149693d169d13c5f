"""``pww setup`` and ``pww provision``: what a fleet of containers needs before its first start.

`pww up` does both by itself. Elsewhere, `setup` runs before the broker (it writes files only) and `provision` once the
broker answers; both may run again at any time, and change nothing that is there.
"""

from __future__ import annotations

import asyncio
import os
import secrets as random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pywhatsweb_fleet.cli import exits

if TYPE_CHECKING:
    from pywhatsweb_fleet.broker.secrets import Secrets

Names = Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")]

ROUTES = "routes.password"
POSTGRES = "postgres.password"


def setup(
    *,
    directory: Annotated[Path, Parameter(name="--dir")],
    tenant: Names = None,
    database_url: str = "postgresql://pww:{password}@postgres:5432/pww",
    store_dir: Path = Path("/data"),
    max_file_gib: int = 64,
    cluster: Names = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> int:
    """Make the secrets of a fleet, and write the files that its containers read.

    \b
    secrets.json            every user of the broker, every tenant's key: keep it, give it to no service
    fleet/                  what services read: nats_password, users/, database_url, encryption.key
    nats/nats.conf          one node's configuration; nats/cluster.conf is that of each node of a cluster
    postgres/password
    tenants/NAME            the password of a tenant's user, whose name is the tenant's

    Parameters
    ----------
    directory
        Where to write them.
    tenant
        Tenants to add to those that are there.
    database_url
        What services connect to; {password} becomes the made password.
    store_dir
        Where the broker keeps its streams, as it sees its own file system.
    max_file_gib
        GiB that all streams together may reserve, on each node.
    cluster
        Host names of a cluster's nodes. Each needs its own name in the environment variable SERVER_NAME.
    tls_cert
        The broker's certificate (PEM), as the broker sees its own file system: clients must then speak TLS.
    tls_key
        Its key.
    """
    from pywhatsweb.contracts.subjects import valid_name
    from pywhatsweb_fleet.broker import process, secrets
    from pywhatsweb_fleet.broker.config import BrokerConfig, Tls, render

    if (tls_cert is None) != (tls_key is None):
        raise exits.CommandError("--tls-cert and --tls-key go together.", exit_code=exits.USAGE)
    for name in tenant or []:
        if not valid_name(name):
            raise exits.CommandError(f"{name} cannot be a tenant's name.", exit_code=exits.USAGE)
    try:
        _folders(directory)
        found = secrets.load_or_make(directory, tenant or [])
        secrets.encryption_key(directory / "fleet")
        password = _kept(directory / POSTGRES)
        config = BrokerConfig(
            store_dir=store_dir,
            port=4222,
            host="0.0.0.0",  # noqa: S104 - all of its container, whose ports are not published
            max_file=max_file_gib * 2**30,
            monitor_port=8222,
            tls=Tls(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None,
        )
        files = {
            "fleet/nats_password": found.platform.password,
            "fleet/database_url": database_url.replace("{password}", password),
            "nats/nats.conf": render(config, found),
            "postgres/password": password,
            **{f"fleet/users/{name}": of.password for name, of in found.services.items()},
            **{f"tenants/{name}": of.password for name, of in found.tenants.items()},
        }
        if cluster:
            files["nats/cluster.conf"] = _cluster(cluster, _kept(directory / ROUTES))
        process.save_choices(directory / "nats", config)
        for name, text in files.items():
            secrets.write_private(directory / name, text.encode())
        # PostgreSQL's entry point reads it as a user of its own; only its container mounts the folder.
        (directory / "postgres" / "password").chmod(0o644)
    except OSError as error:
        raise exits.CommandError(f"{directory} cannot be written to ({error.strerror}).") from None
    except secrets.SecretsError as error:
        raise exits.CommandError(str(error)) from None
    print(f"{directory} is ready for: {_names(found)}.")
    return exits.OK


def provision(
    *,
    directory: Annotated[Path | None, Parameter(name="--dir")] = None,
    tenant: Names = None,
    replicas: int = 1,
    within: float = 60,
) -> int:
    """Bring the broker's streams up to date for every tenant; PWW_NATS_URL and its companions say where it is.

    Parameters
    ----------
    directory
        The directory of `pww setup`, for its tenants.
    tenant
        Tenants, beside those; several may stand in one word ("demo acme": a variable's value).
    replicas
        Of streams and buckets: 1, or 3 on a cluster.
    within
        Seconds to go on trying: a cluster that was just started has no leader yet.
    """
    from pywhatsweb_fleet.broker import secrets, tenants
    from pywhatsweb_fleet.broker.process import BrokerRefused
    from pywhatsweb_runtime import settings
    from pywhatsweb_runtime.bus import ApiError, BrokerSettings, BrokerUnavailable, connect

    try:
        found = secrets.load(directory) if directory is not None else None
        named = {name for words in tenant or [] for name in words.split()}
        names = sorted(named | set(found.tenants if found is not None else ()))
        where = settings.load(BrokerSettings, os.environ)
    except (secrets.SecretsError, settings.SettingsError) as error:
        raise exits.CommandError(str(error), exit_code=exits.USAGE) from None

    async def run() -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        async with connect(where, name="pww provision") as bus:
            while True:
                try:
                    return await tenants.ensure_all(bus, names, replicas)
                except (ApiError, BrokerUnavailable):
                    if loop.time() >= until:
                        raise
                await asyncio.sleep(1)

    try:
        asyncio.run(run())
    except (ApiError, BrokerRefused, BrokerUnavailable, OSError, ValueError) as error:
        raise exits.CommandError(f"the broker's streams could not be brought up to date: {error}.") from None
    print(f"streams are up to date for: {', '.join(names) or 'no tenant'} (replicas: {replicas}).")
    return exits.OK


def _folders(directory: Path) -> None:
    """A folder a reader: each container mounts the one that it needs."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("fleet", "fleet/users", "nats", "postgres", "tenants"):
        (directory / name).mkdir(mode=0o755 if name == "postgres" else 0o700, exist_ok=True)


def _kept(path: Path) -> str:
    """A password, made at the first call."""
    from pywhatsweb_fleet.broker.secrets import write_private

    if not path.exists():
        # Letters and digits: it stands in URLs.
        write_private(path, random.token_hex(24).encode())
    return path.read_text().strip()


def _cluster(nodes: list[str], password: str) -> str:
    """The same file for every node: only its name differs, and a route to itself is left out by nats-server."""
    routes = "\n".join(f'    "nats-route://routes:{password}@{node}:6222"' for node in nodes)
    return (
        'include "./nats.conf"\n'
        "server_name: $SERVER_NAME\n"
        "cluster {\n"
        '  name: "pywhatsweb"\n'
        '  listen: "0.0.0.0:6222"\n'
        f'  authorization {{ user: "routes", password: "{password}", timeout: 2 }}\n'
        "  # Clients know the nodes by the names that they were given.\n"
        "  no_advertise: true\n"
        f"  routes: [\n{routes}\n  ]\n"
        "}\n"
    )


def _names(secrets: Secrets) -> str:
    return ", ".join(sorted(secrets.tenants)) or "no tenant yet"
