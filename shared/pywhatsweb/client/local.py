"""Finding the fleet that runs on this machine: the ready file that `pww up` writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from pywhatsweb.client.fleet import FleetClient, connect
from pywhatsweb.errors import BrokerError, ErrorCode


class LocalUser(msgspec.Struct, frozen=True):
    user: str
    password: str


class LocalFleet(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs of the ready file."""

    nats_url: str
    sandbox_url: str | None = None
    tenants: dict[str, LocalUser] = {}
    pids: dict[str, list[int]] = {}


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `pww up` keeps a fleet: PWW_DATA_DIR, ``.data`` of the checkout it is run from, or below the home."""
    if named := environ.get("PWW_DATA_DIR"):
        return Path(named)
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").exists() and (checkout / "sidecar-node").exists():
        return checkout / ".data"
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "pywhatsweb"


def read_ready(data_dir: Path | None = None, ready_file: Path | None = None) -> LocalFleet | None:
    """The fleet that says it runs there, or None; by default the one whose ready file PWW_READY names."""
    if data_dir is None and ready_file is None and (named := os.environ.get("PWW_READY")):
        ready_file = Path(named)
    path = ready_file or (data_dir or default_data_dir()) / "ready.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalFleet)
    except (OSError, msgspec.DecodeError):
        return None


@contextlib.asynccontextmanager
async def connect_local(
    tenant: str = "demo", *, data_dir: Path | None = None, ready_file: Path | None = None
) -> AsyncIterator[FleetClient]:
    """`connect` to the fleet that `pww up` runs on this machine. Raises BrokerError when there is none."""
    found = read_ready(data_dir, ready_file)
    if found is None:
        raise BrokerError(ErrorCode.E_BROKER_UNAVAILABLE, {"reason": "no fleet runs here: start `pww up`"})
    user = found.tenants.get(tenant)
    if user is None:
        raise BrokerError(ErrorCode.E_TENANT_NOT_FOUND, {"tenants": sorted(found.tenants)})
    async with connect(found.nats_url, user=user.user, password=user.password, tenant=tenant) as fleet:
        yield fleet
