"""Starts the sidecar once while its image is built: Node keeps what it compiled, and later the root is read-only."""

import asyncio

from pywhatsweb_fleet.session_worker.engines.sidecar import Config, SidecarEngine, node_launch


async def main() -> None:
    engine = SidecarEngine(
        "baileys", launch=await node_launch(), config=Config(engines=("baileys",)), worker="build"
    )
    await engine.start()
    await engine.stop()


asyncio.run(main())
