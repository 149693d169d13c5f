"""An event's way to a receiver: stored in the stream → read by the receiver, and how many a second get there.

    PYTHONPATH=shared:services:. python tests/benchmarks/webhooks.py [--events 2000]

A real broker, SQLite, the service as a process of its own, and a receiver in this one. The best gateway measured takes
5 / 9 ms (p50 / p99) from an inbound message to its webhook.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pywhatsweb.contracts import codec, subjects
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime.bus import BrokerSettings, BrokerUnavailable, Bus, connect
from pywhatsweb_runtime.publisher import publishing
from tests.benchmarks import rig
from tests.integration.persistence.traffic import make_tenant, message, publish
from tests.support import running_nats_server, wait_until
from tests.support.receiver import Receiver, receiving


async def subscribe(bus: Bus, receiver: Receiver) -> None:
    body = codec.encode({"webhook_id": "crm", "url": receiver.url, "types": ["message"]})
    while True:
        try:
            await bus.request(subjects.control(TenantId("acme"), "webhook", "create"), body, deadline=1)
        except BrokerUnavailable:
            await asyncio.sleep(0.1)
        else:
            return


async def measure(bus: Bus, receiver: Receiver, count: int, pid: int) -> list[tuple[str, str]]:
    times: list[float] = []
    async with publishing(bus) as publisher:
        for n in range(50 + count // 4):
            before = len(receiver.posts)
            await publish(publisher, message(n, who=n % 50))
            began = time.perf_counter()
            await wait_until(lambda before=before: len(receiver.posts) > before, 30, interval=0.0002)  # type: ignore[misc]
            times.append((time.perf_counter() - began) * 1e3)
        cpu, began, before = rig.cpu_s([pid]), time.perf_counter(), len(receiver.posts)
        first = 50 + count // 4
        await publish(publisher, *(message(n, who=n % 50) for n in range(first, first + count)))
        await wait_until(lambda: len(receiver.posts) >= before + count, 120, interval=0.005)
        took = time.perf_counter() - began
        spent = (rig.cpu_s([pid]) - cpu) / count * 1e3
    p = [rig.percentile(times[50:], share) for share in (0.5, 0.95, 0.99)]
    return [
        ("stored → posted, p50 / p95 / p99", f"{p[0]:.1f} / {p[1]:.1f} / {p[2]:.1f} ms   (aim p50 5, p99 9)"),
        ("at once", f"{count / took:.0f}/s, {spent:.2f} ms of CPU a post"),
    ]


async def run(count: int, directory: Path) -> list[tuple[str, str]]:
    with running_nats_server(directory / "nats") as server:
        async with connect(BrokerSettings(nats_url=server.url), name="bench") as bus, receiving() as receiver:
            await make_tenant(bus, "acme")
            environ = {
                **os.environ, "PWW_NATS_URL": server.url, "PWW_DATABASE_URL": f"sqlite:///{directory}/w.db",
                "PWW_ENCRYPTION_KEY": secrets.token_hex(32), "PWW_WEBHOOK_NETWORKS": "127.0.0.0/8",
                "PWW_LOG_LEVEL": "warning",
            }  # fmt: skip
            service = subprocess.Popen([sys.executable, "-m", "pywhatsweb_fleet.webhooks"], env=environ)  # noqa: ASYNC220
            try:
                await subscribe(bus, receiver)
                return await measure(bus, receiver, count, service.pid)
            finally:
                service.terminate()
                service.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pww-bench-", ignore_cleanup_errors=True) as directory:
        rig.table("Webhooks", asyncio.run(run(given.events, Path(directory))))


if __name__ == "__main__":
    main()
