"""Send a text and follow it until it is read, from any Python program: nats-py and JSON, nothing else of ours.

    python examples/quick_start/send.py s1 +5511999990001 "Olá!"

It finds the broker and the tenant's user in the ready file of `make up` (PWW_READY, by default .data/ready.json).
"""

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import msgpack
import nats


async def main(fleet: dict[str, Any], session: str, to: str, text: str) -> None:
    tenant, user = next(iter(fleet["tenants"].items()))
    nc = await nats.connect(fleet["nats_url"], user=user["user"], password=user["password"])

    events = await nc.subscribe(f"wa.evt.{tenant}.{session}.status.>")
    await nc.flush()

    # The id makes it idempotent: publish it again after a time-out, and it is still sent once.
    command = {"id": f"hello-{uuid.uuid4().hex[:8]}", "to": to, "type": "text", "text": {"body": text}}
    ack = await nc.request(
        f"wa.cmd.{tenant}.{session}.send",
        json.dumps(command).encode(),
        headers={"Nats-Msg-Id": command["id"]},
    )
    print("JetStream has it:", ack.data.decode())

    async for message in events.messages:
        # Events come in MessagePack, or in JSON for a tenant that asked for it.
        event = json.loads(message.data) if message.data[:1] == b"{" else msgpack.unpackb(message.data)
        status = event["data"]
        if status["command_id"] != command["id"]:
            continue
        print(status["status"], (status["error"] or {}).get("code", ""))
        if status["status"] in ("read", "failed", "rejected", "expired", "cancelled"):
            break
    await nc.close()


if __name__ == "__main__":
    ready = json.loads(Path(os.environ.get("PWW_READY", ".data/ready.json")).read_text())
    asyncio.run(main(ready, *sys.argv[1:4]))
