"""What the library adds to a command: `send_text` against a bare client's publish of the same bytes, in one run.

    python tests/benchmarks/client_overhead.py [commands]

Both go to one stream in memory on one broker without flushes: what is measured is the client. The bare client is
nats-py: the command as JSON, `request`, the PubAck as JSON: what a program does that knows only the interface; and the
same through nats-py's own JetStream publish. Rounds alternate; the figures are medians of their ratios.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
from nats.aio.client import Client

from pywhatsweb.client import connect
from tests.support import running_nats_server

TO = "+5511999990001"
ROUNDS = 9
GOAL = 1.3
Send = Callable[[int], Awaitable[object]]


async def one_by_one(send: Send, count: int) -> float:
    began = time.perf_counter()
    for n in range(count):
        await send(n)
    return (time.perf_counter() - began) / count


async def together(send: Send, count: int, width: int = 64) -> float:
    began = time.perf_counter()
    for start in range(0, count, width):
        await asyncio.gather(*(send(n) for n in range(start, min(start + width, count))))
    return (time.perf_counter() - began) / count


def bare(client: Client, how: str) -> Send:
    jetstream = client.jetstream()
    subject = "wa.cmd.acme.s1.send"

    async def send(n: int) -> object:
        command_id = f"{how}-{time.monotonic_ns()}-{n}"
        body = {"id": command_id, "to": TO, "type": "text", "text": {"body": f"Olá, número {n}!"}}
        raw, headers = json.dumps(body).encode(), {"Nats-Msg-Id": command_id}
        if how == "jetstream":
            return await jetstream.publish(subject, raw, headers=headers, timeout=10)
        answer = await client.request(subject, raw, headers=headers, timeout=10)
        return json.loads(answer.data)["seq"]

    return send


async def measure(url: str, count: int) -> dict[str, float]:
    client = await nats.connect(url)
    stream = {"name": "WA_CMD_acme", "subjects": ["wa.cmd.acme.>"], "storage": "memory"}
    await client.request("$JS.API.STREAM.CREATE.WA_CMD_acme", json.dumps(stream).encode(), timeout=5)
    ratios: dict[str, list[float]] = {}
    async with connect(url, user="acme", password="") as fleet:
        session = fleet.session("s1")

        async def ours(n: int) -> object:
            return await session.send_text(TO, f"Olá, número {n}!", id=f"ours-{time.monotonic_ns()}-{n}")

        for way in (one_by_one, together):
            for against in ("request", "jetstream"):
                theirs = bare(client, against)
                await way(ours, 50)
                await way(theirs, 50)
                for turn in range(ROUNDS):
                    pair = (ours, theirs) if turn % 2 else (theirs, ours)
                    took = {send: await way(send, count) for send in pair}
                    name = f"{way.__name__} against {against}"
                    ratios.setdefault(name, []).append(took[ours] / took[theirs])
                    if turn == ROUNDS - 1:
                        print(f"{name}: {took[ours] * 1e6:.0f} µs against {took[theirs] * 1e6:.0f} µs")
    await client.close()
    return {name: statistics.median(found) for name, found in ratios.items()}


def main(count: int = 500) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory, running_nats_server(Path(directory)) as server:
        found = asyncio.run(measure(server.url, count))
    for name, ratio in found.items():
        print(f"{name}: {ratio:.2f} times (at most {GOAL})")
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main(*map(int, sys.argv[1:2]))
