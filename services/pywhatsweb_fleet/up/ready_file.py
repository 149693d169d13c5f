"""The ready file: where everything is, who may come in, which processes run (INTERFACE 1)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pywhatsweb_fleet.broker.secrets import TenantSecrets, User
from pywhatsweb_fleet.up.datadir import replace


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    nats_url: str
    http_url: str | None
    sandbox_url: str | None
    platform: User
    tenants: dict[str, TenantSecrets]
    pids: dict[str, list[int]]
    health: dict[str, str] = {}
    """Service with number → URL of its `/health`, `/metrics` and so on."""


def write(paths: list[Path], ready: Ready) -> None:
    """Mode 0600: it holds passwords."""
    content = msgspec.json.format(msgspec.json.encode(ready)) + b"\n"
    for path in paths:
        replace(path, content)


def read(path: Path) -> Ready | None:
    """What a running `pww up` says there; None when there is no such file or it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ready)
    except (OSError, msgspec.DecodeError):
        return None
