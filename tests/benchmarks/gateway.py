"""What the gateway costs: memory and delay of thousands of event streams, and its way of sending against NATS alone.

    PYTHONPATH=shared:services:. python tests/benchmarks/gateway.py [--clients 5000] [--commands 4000]

A real broker and the gateway as a process of its own; who reads and sends is in this one, so both share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from pywhatsweb.contracts import codec, events, subjects
from pywhatsweb.contracts import event_data as e
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.broker import keys
from pywhatsweb_fleet.broker.secrets import new_tenant
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from pywhatsweb_runtime.publisher import publishing
from tests.benchmarks import rig
from tests.integration.persistence.traffic import make_tenant
from tests.support import running_nats_server, wait_until
from tests.support.compose import free_port

TENANT = TenantId("acme")
TEXT = codec.encode({"to": "+5511999990001", "type": "text", "text": {"body": "hello"}})
EVENTS = 50


class Stream:
    """One reader of server-sent events on a bare socket; when it had each event."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def open(self, port: int, key: str) -> asyncio.Task[None]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/events?type=status HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        return asyncio.create_task(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line.startswith(b"event: status"):
                    self.times.append(time.perf_counter())
        finally:
            writer.close()


async def tell(bus: Bus, number: int) -> None:
    event = events.StatusEvent(
        id=f"e{number}", tenant_id=TENANT, session_id="s1", timestamp=events.timestamp(),
        data=e.Status(command_id=f"c{number}", message_id="3EB0", status=MessageStatus.SENT),
    )  # fmt: skip
    subject = subjects.event_ingest(TENANT, SessionId("s1"), "status", ChatKey("-"))
    await bus.request(subject, codec.encode(event), headers={"Nats-Msg-Id": event.id})


async def streams(bus: Bus, port: int, key: str, pid: int, count: int) -> list[tuple[str, str]]:
    before = rig.rss_mb([pid])
    readers = [Stream() for _ in range(count)]
    tasks = []
    for at in range(0, count, 100):
        tasks += await asyncio.gather(*(reader.open(port, key) for reader in readers[at : at + 100]))
    await asyncio.sleep(2)
    each = (rig.rss_mb([pid]) - before) / count * 1024
    firsts, lasts, cpu = [], [], rig.cpu_s([pid])
    for number in range(EVENTS):
        began = time.perf_counter()
        await tell(bus, number)
        await wait_until(lambda n=number: all(len(r.times) > n for r in readers), 60, interval=0.01)  # type: ignore[misc, arg-type]
        came = sorted(reader.times[number] - began for reader in readers)
        firsts.append(came[0] * 1e3)
        lasts.append(came[-1] * 1e3)
    spent = (rig.cpu_s([pid]) - cpu) / EVENTS / count * 1e6
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [
        (f"memory of one of {count} streams", f"{each:.1f} KiB"),
        ("told → first reader, p50 / p99", _two(firsts)),
        (f"told → last of {count} readers, p50 / p99", _two(lasts)),
        ("processor time of an event to a reader", f"{spent:.1f} µs"),
    ]


def _two(times: list[float]) -> str:
    return f"{rig.percentile(times, 0.5):.1f} / {rig.percentile(times, 0.99):.1f} ms"


async def sending(bus: Bus, port: int, key: str, pid: int, count: int) -> list[tuple[str, str]]:
    async with publishing(bus) as publisher:

        async def bare(numbers: Iterator[int]) -> None:
            subject = subjects.command(TENANT, SessionId("s1"), "send")
            for number in numbers:
                await publisher.publish(subject, TEXT, {"Nats-Msg-Id": f"bare{number}"})

        async def plain(numbers: Iterator[int]) -> None:
            """nats-py's own publish, which a program awaits."""
            subject = subjects.command(TENANT, SessionId("s1"), "send")
            stream = bus.client.jetstream()
            for number in numbers:
                await stream.publish(subject, TEXT, headers={"Nats-Msg-Id": f"plain{number}"})

        async def rest(numbers: Iterator[int]) -> None:
            """One connection, kept: a lean client, so that the figure is the gateway's."""
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in numbers:
                head = f"Idempotency-Key: rest{number}\r\nX-Api-Key: {key}\r\nContent-Length: {len(TEXT)}"
                writer.write(
                    f"POST /v1/sessions/s1/messages HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + TEXT
                )
                answer = await reader.readuntil(b"\r\n\r\n")
                assert b" 202 " in answer.splitlines()[0], answer
                length = next(
                    line for line in answer.lower().splitlines() if line.startswith(b"content-length")
                )
                await reader.readexactly(int(length.partition(b":")[2]))
            writer.close()

        published = await _rate(bare, range(count))
        cpu = rig.cpu_s([pid])
        posted = await _rate(rest, range(count))
        spent = (rig.cpu_s([pid]) - cpu) / count * 1e3
        few = range(count, count + count // 4)
        single = await _rate(plain, few, at_once=1)
        alone = await _rate(rest, few, at_once=1)
    return [
        ("commands published to NATS, one awaited after another", f"{single:.0f}/s"),
        ("commands over HTTP, one awaited after another", f"{alone:.0f}/s, {alone / single:.3f} of that"),
        ("commands published to NATS, 64 at once", f"{published:.0f}/s"),
        ("commands over HTTP, 64 at once", f"{posted:.0f}/s, {posted / published:.3f} of that"),
        ("processor time of one over HTTP", f"{spent:.2f} ms"),
    ]


async def _rate(work: Callable[[Iterator[int]], Awaitable[None]], wanted: range, at_once: int = 64) -> float:
    """A second, by as many as work at once and share the numbers."""
    numbers = iter(wanted)
    began = time.perf_counter()
    await asyncio.gather(*(work(numbers) for _ in range(at_once)))
    return len(wanted) / (time.perf_counter() - began)


async def run(directory: Path, clients: int, commands: int) -> list[tuple[str, str]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    with running_nats_server(directory / "nats") as server:
        async with connect(BrokerSettings(nats_url=server.url), name="bench") as bus:
            await make_tenant(bus, TENANT)
            tenant = new_tenant(TENANT)
            await keys.ensure_all(bus, {TENANT: tenant})
            port = free_port()
            environ = {
                **os.environ, "PWW_NATS_URL": server.url, "PWW_HTTP_PORT": str(port), "PWW_LOG_LEVEL": "warning",
                "PWW_STREAMS_PER_KEY": str(clients), "PWW_KEY_RATE": "1000000", "PWW_KEY_BURST": "1000000",
                "PWW_READY_FILE": str(directory / "ready"),
            }  # fmt: skip
            service = subprocess.Popen([sys.executable, "-m", "pywhatsweb_fleet.gateway"], env=environ)  # noqa: ASYNC220
            try:
                await wait_until((directory / "ready").exists, 60)
                rows = await sending(bus, port, tenant.api_key, service.pid, commands)
                return rows + await streams(bus, port, tenant.api_key, service.pid, clients)
            finally:
                service.terminate()
                service.wait(30)


def main(clients: int = 5000, commands: int = 4000) -> None:
    with tempfile.TemporaryDirectory() as directory:
        rows = asyncio.run(run(Path(directory), clients, commands))
    rig.table(f"The gateway with {clients} event streams", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--commands", type=int, default=4000)
    arguments = parser.parse_args()
    main(arguments.clients, arguments.commands)
