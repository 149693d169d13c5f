"""The services that `pww up` runs: the one list of them, and the environment that each gets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pywhatsweb_runtime import ready
from pywhatsweb_runtime.parent import die_with_parent


class Service(NamedTuple):
    """A package of `pywhatsweb_fleet` with a ``__main__``."""

    name: str
    needs_whatsapp: bool = False
    """Starts only when the sandbox, if there is one, can be reached."""
    stop_bound_s: float = 12.0


# In the order of starting; stopped in the reverse order, so that nothing is cut off from what it needs to hand over.
SERVICES = (
    Service("dispatcher"),
    Service("persistence"),
    Service("kanban"),
    Service("webhooks"),
    Service("tenancy"),
    Service("gateway"),
    # A little more than the bound after which a service gives up by itself (`lifecycle.STOP_BOUND_S`).
    Service("session_worker", needs_whatsapp=True, stop_bound_s=27.0),
)

READY_EVERY_S = 0.02


async def spawn_module(module: str, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Starts ``python -m module``; it logs where we do, and dies with us."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module,
        env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr,
        start_new_session=True, preexec_fn=die_with_parent(),
    )  # fmt: skip


async def until_announced(marker: Path, process: asyncio.subprocess.Process) -> None:
    while not ready.announced(marker, process.pid):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(READY_EVERY_S)


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Our own environment without what `pww up` decides itself for its services."""
    decided = {
        "PWW_NATS_URL", "PWW_NATS_USER", "PWW_NATS_PASSWORD", "PWW_NATS_CREDS", "PWW_NATS_CA", "PWW_DATA_DIR",
        "PWW_ENGINE", "PWW_READY_FILE", "PWW_WORKER_ID", "PWW_HEALTH_PORT", "PWW_HTTP_PORT", "PWW_TENANT",
        "PWW_LOG_PATH",
    }  # fmt: skip
    return {name: value for name, value in environ.items() if name.removesuffix("_FILE") not in decided}
