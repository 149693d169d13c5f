"""Which webhooks this process posts for: it takes what nobody holds, says every few seconds that it is still there, and
runs a `Runner` for each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.contracts import subjects
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb_fleet.storage import webhooks
from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.webhooks import Webhook
from pywhatsweb_fleet.webhooks.configuring import decode_config, decode_secrets
from pywhatsweb_fleet.webhooks.deps import Deps
from pywhatsweb_fleet.webhooks.running import Runner

log = structlog.get_logger(__name__)

_TAKE: Final = 50
"""At once, so that replicas that start together share."""
_STOP_BOUND_S: Final = 12.0
_FORGET: Final = 500

Key = tuple[str, str]


class Holding:
    """Made by `holding`."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._running: dict[Key, tuple[Runner, asyncio.Task[None]]] = {}
        self._ending: dict[asyncio.Task[None], Key] = {}
        self._hints: dict[str, Subscription] = {}
        self._by_tenant: dict[str, list[Runner]] = defaultdict(list)
        self._rung = asyncio.Event()
        self.trouble: str | None = None

    def ring(self) -> None:
        """Something was changed: look at once."""
        self._rung.set()

    def problem(self) -> str | None:
        """For the health check."""
        return self.trouble

    def held(self) -> int:
        return len(self._running)

    def waiting(self, *, later: bool) -> int:
        """Events that wait to be posted: put aside for ``later``, or read just now."""
        return sum(runner.waiting()[later] for runner, _ in self._running.values())

    def oldest_s(self) -> float:
        return max((runner.oldest_s() for runner, _ in self._running.values()), default=0.0)

    async def on_reconnect(self) -> None:
        """The streams may be other ones now."""
        for key in list(self._running):
            self._end(key)
        self.ring()

    async def keep(self) -> None:
        """Beside the service."""
        while True:
            try:
                await self._round()
                self.trouble = None
            except StorageUnavailable as error:
                if self.trouble is None:
                    log.warning("the webhooks wait for the database", error=type(error).__name__)
                self.trouble = "the database does not answer"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._deps.settings.webhook_hold_s / 6):
                    await self._rung.wait()
            self._rung.clear()

    async def _round(self) -> None:
        settings = self._deps.settings
        began = time.monotonic()
        now = time.time_ns() // 1_000_000
        until = now + round(settings.webhook_hold_s * 1000)
        rows = await self._deps.store.transact(webhooks.hold, self._deps.holder, now, until, _TAKE)
        # A post that begins now must be over before another may begin.
        self._deps.lease_until = began + settings.webhook_hold_s - settings.webhook_timeout_s - 1
        await self._match({(row.tenant, row.webhook): row for row in rows})
        before = now - round(settings.webhook_keep_dead_s * 1000)
        await self._deps.store.transact(webhooks.forget_dead, before, _FORGET)
        if len(rows) >= _TAKE:
            self.ring()

    async def _match(self, rows: dict[Key, Webhook]) -> None:
        for key, (runner, task) in list(self._running.items()):
            row = rows.get(key)
            record = self._deps.record(key[0])
            if (
                row is None
                or task.done()
                or row.version != runner.row.version
                or record is None
                or record.suspended
            ):
                self._end(key)
        for key, row in rows.items():
            if key not in self._running:
                await self._begin(key, row)
        for tenant in self._hints.keys() - {tenant for tenant, _ in self._running}:
            with contextlib.suppress(nats.errors.Error):
                await self._hints.pop(tenant).unsubscribe()

    async def _begin(self, key: Key, row: Webhook) -> None:
        record = self._deps.record(row.tenant)
        if record is None or record.suspended or key in self._ending.values():
            return
        try:
            secrets = decode_secrets(
                await self._deps.store.transact(webhooks.unseal, self._deps.keyring, row)
            )
            runner = Runner(self._deps, row, decode_config(row.config), secrets, record)
        except (Unsealable, msgspec.MsgspecError) as error:
            self.trouble = f"{type(error).__name__} at a webhook"
            log.error(  # noqa: TRY400 - the traceback may hold values
                "a webhook cannot be read", tenant=row.tenant, webhook=row.webhook, error=type(error).__name__
            )
            return
        if row.tenant not in self._hints:
            everything = subjects.event(TenantId(row.tenant), SessionId("*"), "*", ChatKey("*"))
            self._hints[row.tenant] = await self._deps.bus.client.subscribe(everything, cb=self._on_event)
        task = asyncio.create_task(runner.run(), name=f"webhook {row.tenant} {row.webhook}")
        task.add_done_callback(lambda _: self.ring())
        self._running[key] = (runner, task)
        self._by_tenant[row.tenant].append(runner)

    def _end(self, key: Key) -> None:
        runner, task = self._running.pop(key)
        self._by_tenant[key[0]].remove(runner)
        runner.stop()
        self._ending[task] = key
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a webhook's runner failed", name=task.get_name(), error=type(error).__name__)
        self.ring()

    async def _on_event(self, message: Msg) -> None:
        """A hint that there is something to post."""
        for runner in self._by_tenant.get(message.subject.split(".", 3)[2], ()):
            runner.wake()

    async def stop(self) -> None:
        """What is being posted is finished, within a bound; then everything is another's to take."""
        for key in list(self._running):
            self._end(key)
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=_STOP_BOUND_S)
            for task in late:
                task.cancel()
        with contextlib.suppress(StorageUnavailable):
            await self._deps.store.transact(webhooks.release, self._deps.holder)


@contextlib.asynccontextmanager
async def holding(deps: Deps) -> AsyncIterator[Holding]:
    """For as long as the block lasts; `Holding.keep` does the work."""
    held = Holding(deps)
    deps.bus.on_reconnect.append(held.on_reconnect)
    try:
        yield held
    finally:
        deps.bus.on_reconnect.remove(held.on_reconnect)
        await held.stop()
