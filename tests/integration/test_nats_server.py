"""The nats-server that tests run on."""

import nats

from tests.support import NatsServer


async def test_messages_outlive_a_kill(nats_server: NatsServer) -> None:
    """JetStream's store is on disk, and a killed server starts again where it listened."""
    url = nats_server.url
    async with await nats.connect(url) as client:
        stream = client.jetstream()
        await stream.add_stream(name="S", subjects=["s.*"])
        await stream.publish("s.1", b"kept")

    nats_server.kill()
    nats_server.start()

    assert nats_server.url == url
    async with await nats.connect(url) as client:
        assert (await client.jetstream().get_last_msg("S", "s.1")).data == b"kept"
