"""What the end-to-end benchmarks share: real processes on a broker of their own, the machine's floor, tables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_runtime import provision, ready, registry
from pywhatsweb_runtime.bus import BrokerSettings, Bus, connect
from pywhatsweb_runtime.direct import Reader, reading
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.publisher import publishing
from tests.support import block_until

NATS_SERVER = Path(sys.executable).with_name("nats-server")


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    sys.stdout.flush()


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds of the processes so far; one that ended counts nothing."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def rss_mb(pids: Iterable[int]) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / 2**20


def fsync_ms(directory: Path, count: int = 300) -> list[float]:
    """Times of writing 300 bytes and flushing them, one after the other."""
    times = []
    with (directory / "fsync").open("wb") as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(b"x" * 300)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return times


class Broker:
    """nats-server as a single node runs in production: on disk, every acknowledgement flushed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        configuration = directory / "nats.conf"
        configuration.write_text(
            'listen: "127.0.0.1:-1"\n'
            f'ports_file_dir: "{directory}"\n'
            "write_deadline: 30s\n"
            f'jetstream {{ store_dir: "{directory / "store"}", sync_interval: always, max_file_store: 1TB,'
            " limits { default_max_consumers: -1 } }\n"
        )
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen([NATS_SERVER, "--config", configuration], stdout=log, stderr=log)
        self.pid = self.process.pid
        ports = directory / f"nats-server_{self.pid}.ports"

        def url() -> str | None:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                found: str = msgspec.json.decode(ports.read_bytes())["nats"][0]
                return found
            return None

        self.url = block_until(url, 20, message="nats-server listens") or ""

    def stop(self) -> None:
        _end(self.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Rig:
    """Processes of the fleet on one broker, all under a temporary directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broker = Broker(directory / "nats")
        self.pids: dict[str, int] = {"nats-server": self.broker.pid}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._key = secrets.token_hex(32)
        self._count = 0

    def start(self, service: str, **environ: str) -> int:
        """A service as `pww up` starts it; returns when it is ready."""
        self._count += 1
        marker = self.directory / f"{service}-{self._count}.ready"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PWW_")}
        with (self.directory / f"{service}-{self._count}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"pywhatsweb_fleet.{service}"],
                stdout=log,
                stderr=log,
                env=inherited
                | {
                    "PWW_NATS_URL": self.broker.url,
                    "PWW_DATABASE_URL": f"sqlite:///{self.directory / 'fleet.db'}",
                    "PWW_ENCRYPTION_KEY": self._key,
                    "PWW_READY_FILE": str(marker),
                    "PWW_LOG_FORMAT": "json",
                }
                | environ,
            )
        self._processes.append(process)
        self.pids[f"{service} {self._count}"] = process.pid

        def is_ready() -> bool:
            assert process.poll() is None, f"{service} ended: see {self.directory}"
            return ready.announced(marker, process.pid)

        block_until(is_ready, 60, message=f"{service} is ready")
        return process.pid

    def stop(self) -> None:
        for process in reversed(self._processes):
            _end(process)
        self.broker.stop()


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="pww-bench-", ignore_cleanup_errors=True) as directory:
        made = Rig(Path(directory))
        try:
            yield made
        finally:
            made.stop()


@contextlib.asynccontextmanager
async def bus_of(made: Rig, name: str = "bench") -> AsyncIterator[Bus]:
    async with connect(BrokerSettings(nats_url=made.broker.url), name=name) as bus:
        yield bus


async def make_tenants(bus: Bus, count: int) -> list[TenantId]:
    await provision.ensure_platform(bus)
    limits = streams.TenantLimits(
        commands_bytes=64 << 20, outbox_bytes=64 << 20, events_bytes=512 << 20, queue_messages=20_000
    )
    names = [TenantId(f"t{number}") for number in range(count)]
    for name in names:
        await provision.ensure_tenant(bus, name, limits)
        record = registry.TenantRecord(key=secrets.token_bytes(32), limits=limits)
        await Bucket(bus, streams.TENANTS_BUCKET).put(name, registry.encode(record))
    return names


async def make_sessions(
    bus: Bus,
    sessions: Sequence[tuple[str, str]],
    settings: dict[str, Any],
    *,
    timeout: float = 300,
    expected: Sequence[tuple[str, str]] | None = None,
) -> float:
    """Writes their records and waits until all (``expected``: with those made before) are WORKING; the seconds."""
    began = time.perf_counter()
    bucket = Bucket(bus, streams.SESSIONS_BUCKET)
    record = registry.encode(registry.SessionRecord(engine="simulated", settings=settings))
    for first in range(0, len(sessions), 64):
        await asyncio.gather(*(bucket.put(".".join(key), record) for key in sessions[first : first + 64]))
    expected = sessions if expected is None else expected
    tenants = {tenant for tenant, _ in expected}
    async with reading(bus) as reader:
        deadline = began + timeout
        while tenants:
            for tenant in sorted(tenants):
                if await _working(reader, tenant) >= sum(key[0] == tenant for key in expected):
                    tenants.discard(tenant)
                else:
                    break
            assert time.perf_counter() < deadline, "the sessions do not come up"
            await asyncio.sleep(0.2)
    return time.perf_counter() - began


async def _working(reader: Reader, tenant: str) -> int:
    count, sequence = 0, 1
    while True:
        found = await reader.batch(
            f"WA_EVT_{tenant}", f"wa.now.{tenant}.*", sequence, limit=1000, deadline=30
        )
        count += [msgspec.msgpack.decode(one.data)["status"] for one in found].count("WORKING")
        if len(found) < 1000:
            return count
        sequence = found[-1].sequence + 1


async def floor(made: Rig, bus: Bus) -> list[tuple[str, str]]:
    """What this machine can do at best, just now."""
    await provision.ensure_stream(bus, {"name": "FLOOR", "subjects": ["floor.*"], "storage": "file"})
    rates = []
    async with publishing(bus, in_flight=256) as publisher:
        for attempt in range(3):
            began = time.perf_counter()
            futures = [
                await publisher.submit("floor.a", b"x" * 300, {"Nats-Msg-Id": f"{attempt}-{n}"})
                for n in range(500)
            ]
            await asyncio.gather(*futures)
            rates.append(500 / (time.perf_counter() - began))
    flushes = fsync_ms(made.directory)
    return [
        ("fsync p50 / p99", f"{statistics.median(flushes):.2f} / {percentile(flushes, 0.99):.2f} ms"),
        ("bare publish, one stream, 256 in flight", f"{statistics.median(rates):.0f}/s"),
    ]
