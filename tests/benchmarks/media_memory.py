"""What a 100 MB document costs in memory: put, sent by real Baileys, fetched; the peak of each process above its rest.

PYTHONPATH=shared:services:. python -m tests.benchmarks.media_memory
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from pywhatsweb.client import connect
from tests.support import wait_until
from tests.support.running import Fleet, new_number, pair, plain, sandbox

SIZE = 100 * 1024 * 1024
CONTACT = "+5511988880099"
WATCHED = ("persistence", "session_worker", "sidecar", "gateway", "nats-server")


def _status(pid: int, name: str) -> int:
    """A line of /proc/<pid>/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def peaks(pids: dict[str, int], told: dict[str, float]) -> Iterator[None]:
    """The growth of each process's peak over its resident size at the beginning, in MiB."""
    before = {}
    for name, pid in pids.items():
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from here
        before[name] = _status(pid, "VmRSS")
    yield
    for name, pid in pids.items():
        told[name] = (_status(pid, "VmHWM") - before[name]) / 2**20


async def measure(fleet: Fleet, directory: Path) -> dict[str, dict[str, float]]:
    document = directory / "large.bin"
    document.write_bytes(os.urandom(SIZE))
    expected = hashlib.sha256(document.read_bytes()).hexdigest()
    pids = {name: fleet.reload()["pids"][name][0] for name in WATCHED} | {"client": os.getpid()}
    told: dict[str, dict[str, float]] = {"up": {}, "sent": {}, "down": {}}
    user = fleet.ready["tenants"]["demo"]
    number = new_number()
    async with (
        plain(fleet) as program,
        sandbox(fleet) as whatsapp,
        connect(fleet.ready["nats_url"], user=user["user"], password=user["password"]) as client,
    ):
        await pair(program, whatsapp, "memory", number)
        pids["sidecar"] = fleet.reload()["pids"]["sidecar"][0]
        warm = await client.media.put(
            os.urandom(1_000_000), kind="document"
        )  # code is loaded, caches are made
        await (await client.session("memory").send_document(CONTACT, warm.id)).outcome("delivered", 60)
        _ = [part async for part in client.media.get(warm.id)]
        began = time.monotonic()
        with peaks(pids, told["up"]):
            stored = await client.media.put(document, kind="document")
        told["up"]["seconds"] = time.monotonic() - began
        began = time.monotonic()
        with peaks(pids, told["sent"]):
            await (await client.session("memory").send_document(CONTACT, stored.id)).outcome("sent", 300)
        told["sent"]["seconds"] = time.monotonic() - began
        began = time.monotonic()
        with peaks(pids, told["down"]):
            digest = hashlib.sha256()
            headers = {"Authorization": f"Bearer {user['api_key']}"}
            async with (
                httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=headers, timeout=300) as http,
                http.stream("GET", f"/v1/media/{stored.id}") as answer,
            ):
                async for part in answer.aiter_bytes():
                    digest.update(part)
        told["down"]["seconds"] = time.monotonic() - began

        async def opened() -> bool:
            entries = await whatsapp.decrypted(number)
            return any((entry.get("media") or {}).get("sha256") == expected for entry in entries)

        await wait_until(opened, 120, message="the contact opened the same bytes")
    assert digest.hexdigest() == stored.sha256 == expected
    return told


def main() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        fleet = Fleet(Path(name), "--tenant", "demo")
        fleet.start()
        try:
            told = asyncio.run(measure(fleet, Path(name)))
        finally:
            fleet.stop()
    print(f"\n{'MiB above rest':16}" + "".join(f"{step:>10}" for step in told))
    for row in (*WATCHED, "client", "seconds"):
        print(f"{row:16}" + "".join(f"{told[step][row]:10.1f}" for step in told))
    return told


if __name__ == "__main__":
    main()
