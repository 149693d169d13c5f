"""What is done with leaves the stream of commands, whoever did it."""

from pathlib import Path

import msgspec

from pywhatsweb.contracts import streams
from tests.support import NatsServer, wait_until
from tests.support.dispatching import User, dispatcher, text
from tests.support.fleet import platform


async def test_what_an_earlier_process_acknowledged_is_purged(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Simulated seed 12: commands acknowledged just before a restart stayed until the next one came."""
    async with platform(nats_server.url, "acme") as (bus, [tenant]):
        await tenant.wish("s1")
        user = User(tenant)
        async with dispatcher(nats_server.url, tmp_path):
            for number in range(5):
                body = msgspec.msgpack.encode(text(str(number), id=f"c{number}"))
                await user.tenant.bus.client.publish("wa.cmd.acme.s1.send", body)
            await wait_until(lambda: len(tenant.of("status")) >= 5, 10)

        async def left() -> int:
            state = (await bus.api(f"STREAM.INFO.{streams.commands_name(tenant.name)}"))["state"]
            return int(state["messages"])

        assert await left() == 5, "the first process had no time to purge"
        async with dispatcher(nats_server.url, tmp_path):

            async def empty() -> bool:
                return await left() == 0

            await wait_until(empty, 15)
