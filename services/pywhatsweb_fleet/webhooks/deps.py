"""What all webhooks of this process share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from prometheus_client import Counter

from pywhatsweb.contracts import codec, events, ids, subjects
from pywhatsweb.contracts.ids import CommandId, SessionId, TenantId, TenantKey
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.statements import query
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.webhooks.posting import Poster
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.direct import Reader
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord

_NUMBER_FOR_S: Final = 60.0


def _own_number(conn: Any, tenant: str, session: str) -> str | None:
    rows = query(conn, "SELECT phone_number FROM sessions WHERE tenant = ? AND session = ?", tenant, session)
    return rows[0][0] if rows else None


class Deps:
    """`lease_until` (of the monotonic clock): until then this process may post for what it holds."""

    def __init__(
        self,
        settings: WebhooksSettings,
        *,
        bus: Bus,
        store: Store,
        reader: Reader,
        publisher: Publisher,
        poster: Poster,
        keyring: Keyring,
        posts: Counter,
        record: Callable[[str], TenantRecord | None],
        holder: str,
    ) -> None:
        self.settings = settings
        self.bus = bus
        self.store = store
        self.reader = reader
        self.poster = poster
        self.keyring = keyring
        self.posts = posts
        self.record = record
        self.holder = holder
        self.lease_until = 0.0
        self._publisher = publisher
        self._telling: set[asyncio.Task[Any]] = set()
        self._numbers: dict[tuple[str, str], tuple[float, str | None]] = {}

    def may_post(self) -> bool:
        return time.monotonic() < self.lease_until

    async def own_number(self, tenant: str, session: str) -> str | None:
        """A session's own number as the record has it, at most a minute old. Raises StorageUnavailable."""
        known = self._numbers.get((tenant, session))
        if known is None or known[0] < time.monotonic():
            number = await self.store.read(_own_number, tenant, session)
            if len(self._numbers) > 10_000:
                self._numbers.clear()
            known = self._numbers[tenant, session] = (time.monotonic() + _NUMBER_FOR_S, number)
        return known[1]

    def named(self, event: Any) -> Any:
        """A status with its message's id: one that never came to WhatsApp too, for WAHA's and the Cloud API's receivers
        know no other (senders are told it at once)."""
        record = self.record(event.tenant_id)
        data = event.data
        if (
            not isinstance(event, events.StatusEvent)
            or record is None
            or data.message_id
            or not data.command_id
        ):
            return event
        key, session, command = TenantKey(record.key), SessionId(event.session_id), CommandId(data.command_id)
        known = msgspec.structs.replace(data, message_id=ids.whatsapp_message_id(key, session, command))
        return msgspec.structs.replace(event, data=known)

    def tell(self, tenant: TenantId, event: events.AlertEvent) -> None:
        """Into the tenant's events stream, when it can be; the log has it in any case."""
        record = self.record(tenant)
        if record is None:
            return
        headers = events.headers(event, record.events)
        headers["Nats-TTL"] = f"{record.limits.replay_seconds}s"
        subject = subjects.event_ingest(tenant, SessionId(event.session_id), "alert")
        task = asyncio.create_task(
            self._publisher.publish(subject, codec.encode(event, record.events), headers)
        )
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[Any]) -> None:
        self._telling.discard(task)
        if not task.cancelled():
            task.exception()  # an alert that the broker does not take is in the log
