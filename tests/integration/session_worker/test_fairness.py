"""A tenant whose contacts send files by the hundred, and one with a single file: counted in downloads."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pywhatsweb_fleet.session_worker.fetching import Fetcher
from pywhatsweb_fleet.storage import media_fetches
from pywhatsweb_fleet.storage.group_commit import group_commit
from pywhatsweb_fleet.storage.media_fetches import Fetch
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_runtime.metrics import Metrics
from tests.support import wait_until

AT_ONCE = 4


async def test_one_file_is_fetched_beside_another_tenants_hundreds(tmp_path: Path) -> None:
    """It waits for what is being fetched, one that was chosen before it came, and one turn of the other's."""
    store = open_store(f"sqlite:///{tmp_path}/fleet.db")
    begun: list[str] = []
    gate = asyncio.Event()

    class Downloads(Fetcher):
        """WhatsApp's media host is a gate."""

        async def _fetch(self, fetch: Fetch, session: Any) -> None:
            begun.append(fetch.tenant)
            await gate.wait()
            await store.transact(media_fetches.forget, fetch.tenant, fetch.media_id)

    def a_file(tenant: str, number: int) -> Fetch:
        return Fetch(
            tenant=tenant,
            media_id=f"med_{number}",
            session="s1",
            chat="c",
            message_id="M",
            wanted=b"",
            next_at=number,
        )

    working: Any = {("flood", "s1"): object(), ("acme", "s1"): object()}
    library: Any = None
    try:
        await store.migrate()
        async with group_commit(store) as group:
            fetcher = Downloads(library, store, group, Keyring([bytes(32)]), Metrics("none"))
            await asyncio.gather(*(fetcher.ask(a_file("flood", number)) for number in range(200)))
            running = asyncio.create_task(fetcher.run(lambda: working))
            try:
                await wait_until(lambda: len(begun) == AT_ONCE, 30)
                await fetcher.ask(a_file("acme", 999))
                gate.set()
                await wait_until(lambda: len(begun) == 201, 60)
            finally:
                running.cancel()
                await asyncio.wait([running])
        assert begun.index("acme") <= AT_ONCE + 2
    finally:
        await store.close()
