"""How programs of ours for Node are run."""

from __future__ import annotations

from pathlib import Path


def compiled(directory: Path) -> dict[str, str]:
    """The environment in which Node keeps what it compiled of the program in ``directory`` beside its packages.

    From the second start on a sidecar imports Baileys in 90 ms instead of 640, and takes 65 MB instead of 91: what
    removes the types is not even loaded. Where the folder cannot be written, Node does without.
    """
    return {"NODE_COMPILE_CACHE": str(directory / "node_modules" / ".cache" / "compiled")}
