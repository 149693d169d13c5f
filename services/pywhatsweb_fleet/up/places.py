"""Where a fleet is kept by default, and how `pww up` logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pywhatsweb_runtime.logs import LogFormat, LogLevel


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """``PWW_DATA_DIR``, else ``.data`` of the checkout that this program is run from, else below the home directory."""
    if named := environ.get("PWW_DATA_DIR"):
        return Path(named)
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").exists() and (checkout / "sidecar-node").exists():
        return checkout / ".data"
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "pywhatsweb"


def is_default(data_dir: Path, environ: Mapping[str, str]) -> bool:
    return data_dir == default_data_dir(environ).absolute()
