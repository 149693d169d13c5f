"""Programs in other languages, with their own NATS client and the public contract."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from tests.support.running import Fleet, new_number, pair, plain, sandbox

HERE = Path(__file__).resolve().parent
MODULES = HERE.parents[1] / "sidecar-node" / "node_modules"


async def test_node_publishes_and_follows(fleet: Fleet, tmp_path: Path) -> None:
    """@nats-io/transport-node publishes a command in JSON and reads its statuses in MessagePack."""
    program_file = tmp_path / "client.mjs"
    shutil.copy(HERE / "plain_client.mjs", program_file)
    (tmp_path / "node_modules").symlink_to(MODULES)
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        number = new_number()
        await pair(program, whatsapp, "node", number)
        user = fleet.ready["tenants"]["demo"]
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("node"),
            *(
                program_file,
                fleet.ready["nats_url"],
                user["user"],
                user["password"],
                "demo",
                "node",
                "+5511988880004",
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, output.decode()
        assert output.decode().split() == ["stored", "WA_CMD_demo", "accepted", "sent", "delivered", "read"]
        assert [entry["text"] for entry in await whatsapp.decrypted(number)] == ["sent from Node"]
