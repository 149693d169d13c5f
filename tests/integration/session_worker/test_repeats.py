"""What WhatsApp repeats after JetStream has forgotten it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pywhatsweb.contracts import streams
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_runtime import provision
from tests.support import NatsServer, wait_until
from tests.support.fleet import platform, worker, worker_settings


async def test_a_message_repeated_after_the_dedupe_window_is_told_once(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Stored, never acknowledged, told again to the next owner when the stream no longer knows its id."""
    settings = worker_settings(nats_server.url, tmp_path, key)
    sent_at = int((time.time() - 3600) * 1000)

    def tell(message_id: str, at: int) -> None:
        person = {"pn": "+5511999990001", "lid": None}
        data = {"id": message_id, "chat": {**person, "group": None}, "from": person, "from_self": False}
        data |= {"type": "text", "text": {"body": message_id}, "sent_at": at}
        data |= {"offline": True, "history": False}
        whatsapp.deliver("acme/s1", f"message:{message_id}:{time.monotonic()}", "message", data)

    async with platform(nats_server.url, "acme") as (bus, (acme,)):
        config = streams.events(acme.name, acme.record.limits)
        await provision.ensure_stream(bus, {**config, "duplicate_window": 100_000_000})

        def told(message_id: str) -> int:
            return len([e for e in acme.of("message") if e["data"]["id"] == message_id])

        async with worker(settings):
            await acme.wish("s1")
            await acme.working("s1")
            tell("OLD", sent_at)
            await wait_until(lambda: told("OLD") == 1, 5)
        await asyncio.sleep(0.3)  # beyond the window
        tell("OLD", sent_at)
        tell("OLDER", sent_at - 1000)
        tell("LAST", int(time.time() * 1000))
        async with worker(settings):
            await wait_until(lambda: told("LAST") == 1, 15)
            assert (told("OLDER"), told("OLD")) == (1, 1)
