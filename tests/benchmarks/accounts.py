"""What one more tenant costs a broker that has a thousand: accounts in its configuration, and as an operator's tokens.

Accounts alone: a tenant's streams cost the same however many there are (`tenants.thousand` goes the whole way).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import msgspec
import psutil

from pywhatsweb_fleet.broker import accounts, process, secrets
from pywhatsweb_runtime.bus import connect
from tests.integration.broker.conftest import Broker

TURNS = 5


@contextlib.asynccontextmanager
async def _applying(broker: Broker) -> AsyncIterator[accounts.Accounts]:
    """The accounts of a running broker, as the tenancy service has them."""
    async with (
        connect(broker.platform_settings(), name="platform") as bus,
        connect(broker.system_settings(), name="system") as system,
    ):
        if broker.mode == "operator":
            yield accounts.OperatorAccounts(system)
            return
        yield accounts.ConfigAccounts(
            broker.directory,
            broker.config,
            bus,
            broker.platform_settings(),
            reload=accounts.by_system(system),
        )


async def one_more(directory: Path, mode: str, count: int) -> list[tuple[str, str]]:
    """So many tenants' accounts, then one more, several times; seconds until it can come in, and of whose processor."""
    broker = Broker(directory, mode)
    broker.secrets = secrets.load_or_make(directory, [f"t{number:04}" for number in range(count)])
    took, ours, its = [], [], []
    async with process.running(directory, broker.config, broker.secrets, text=broker.text()) as server:
        nats = psutil.Process(server.pid)
        async with _applying(broker) as border:
            began = time.perf_counter()
            await border.restore(broker.secrets)
            all_at_once = time.perf_counter() - began
            for number in range(TURNS):
                tenants = {**broker.secrets.tenants, f"more{number}": secrets.new_tenant(f"more{number}")}
                after = msgspec.structs.replace(broker.secrets, tenants=tenants)
                began, cpu, own = time.perf_counter(), _cpu_s(nats), time.process_time()
                await border.apply(broker.secrets, after)
                took.append(time.perf_counter() - began)
                its.append(_cpu_s(nats) - cpu)
                ours.append(time.process_time() - own)
                broker.secrets = after
        memory = nats.memory_info().rss / 2**20
    return [
        (f"{mode}: one more beside {count}", f"{median(took) * 1000:.0f} ms (median of {TURNS})"),
        ("of that, processor: the service's", f"{median(ours) * 1000:.0f} ms"),
        ("of that, processor: the broker's", f"{median(its) * 1000:.0f} ms"),
        ("all of them brought to it anew", f"{all_at_once:.1f} s"),
        ("the broker's memory", f"{memory:.0f} MiB"),
    ]


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def both(directory: Path, count: int) -> list[tuple[str, str]]:
    rows = []
    for mode in ("config", "operator"):
        (directory / mode).mkdir()
        rows += asyncio.run(one_more(directory / mode, mode, count))
    return rows
