"""Rate limits of several gateways, over a real broker."""

from __future__ import annotations

from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_fleet.gateway.sharing import RATES_BUCKET, sharing
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, wait_until
from tests.support.fleet import platform

NEVER = 1e-6
"""Tokens a second: none comes back while a test lasts."""


def limits() -> dict[str, Buckets]:
    return {"key": Buckets(NEVER, 5), "address": Buckets(NEVER, 2)}


async def test_what_one_gateway_lets_through_counts_at_the_others(nats_server: NatsServer) -> None:
    """Of a kind and a name only; one that starts later knows it too; what cannot be read is passed over."""
    first, second, late = limits(), limits(), limits()
    async with platform(nats_server.url, "demo") as (bus, _):
        async with sharing(bus, first) as telling, sharing(bus, second) as other:
            assert [first["key"].take("app") for _ in range(4)] == [0] * 4
            assert first["address"].take("here") == 0
            await Bucket(bus, RATES_BUCKET).put("later-version", b"\xc1")
            await telling.tell()
            await wait_until(lambda: second["key"].levels().get("app", 5) < 2)
            assert second["key"].take("app") == 0
            assert second["key"].take("app") > 0
            assert second["key"].take("another") == 0
            assert second["address"].take("here") == 0
            assert second["address"].take("here") > 0
            await other.tell()
            await wait_until(lambda: first["key"].empty("app") > 0)
            await telling.tell()  # nothing was taken, so nothing is told
            assert len(await Bucket(bus, RATES_BUCKET).all()) == 3
        async with sharing(bus, late):
            assert late["key"].take("app") > 0
            assert late["key"].take("yet another") == 0


async def test_without_the_broker_each_keeps_to_the_limit_by_itself(nats_server: NatsServer) -> None:
    """Telling fails quietly, and what was taken stays taken here."""
    mine = limits()
    async with platform(nats_server.url, "demo") as (bus, _), sharing(bus, mine) as telling:
        assert [mine["key"].take("app") for _ in range(5)] == [0] * 5
        await bus.api(f"STREAM.DELETE.KV_{RATES_BUCKET}")
        await telling.tell()
        assert mine["key"].take("app") > 0
