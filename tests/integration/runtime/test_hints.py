"""Who follows a bucket by hints knows its newest value in the end, however early the hint came."""

from __future__ import annotations

from pywhatsweb.contracts import streams
from pywhatsweb_runtime import provision
from pywhatsweb_runtime.bus import BrokerSettings, connect
from pywhatsweb_runtime.kv import Bucket
from tests.support import NatsServer, wait_until


async def test_a_key_is_read_again_when_it_must_be_stored(nats_server: NatsServer) -> None:
    async with connect(BrokerSettings(nats_url=nats_server.url), name="hints") as bus:
        await provision.ensure_platform(bus, 1)
        bucket = Bucket(bus, streams.TENANTS_BUCKET)
        called: list[str] = []

        async def on_hint(key: str) -> None:
            called.append(key)

        async with bucket.hints(on_hint):
            await bucket.put("one", b"1")
            await bucket.put("two", b"1")
            await wait_until(lambda: sorted(called) == ["one", "one", "two", "two"], 20)
            await bucket.delete("one")
            await wait_until(lambda: called.count("one") == 4, 20)
        await bucket.put("two", b"2")
        assert called.count("two") == 2, "nothing is heard after the block"
